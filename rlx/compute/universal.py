"""A ZeRO checkpoint of one number of processes, read by another number: written anew as DeepSpeed's universal checkpoint
(arXiv 2406.18820), in which weights and AdamW's moments lie parameter by parameter."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from rlx.artefact.training_state import Checkpoint
from rlx.core.error import UserError
from rlx.process import atomic, outer, processes

log = logging.getLogger(__name__)
FOLDER, STATE, LATEST = "universal", "state", "latest_universal"  # the last says where the second is, for DeepSpeed
ZERO = re.compile(r"(zero[123]) on \d+ processes")
WORKERS = 2  # each holds the part of one process in memory


def make_readable(checkpoint: Checkpoint, layout: str, what: str, trainer: Any) -> None:
    """Let `trainer`, whose models are laid out as `layout`, go on from `checkpoint`: as it lies, or written anew by the first
    process where another number of processes wrote it. Call it in every process before training. `what` is trained.

    Raises UserError where nothing can be done.
    """
    if checkpoint.layout == layout:
        return
    if not _same_stage(checkpoint.layout, layout):
        checkpoint.check(layout, what)
    if processes.first() and not (checkpoint.path / LATEST).is_file():
        log.info("%s was written as %r: writing it anew, to be read as %r", checkpoint.path, checkpoint.layout, layout)
        _convert(checkpoint.path)
    processes.wait(patiently=True)
    trainer.accelerator.state.deepspeed_plugin.deepspeed_config["checkpoint"] = {"load_universal": True}
    trainer.add_callback(_Mended())


def _same_stage(one: str, other: str) -> bool:
    """Whether both are of one stage of ZeRO, and so differ in the number of processes alone."""
    stages = [found.group(1) for layout in (one, other) if (found := ZERO.fullmatch(layout))]
    return len(stages) == 2 and stages[0] == stages[1]


class _Mended(TrainerCallback):
    """Undoes what DeepSpeed 0.19 gets wrong when it reads one under ZeRO-3: all groups of parameters count their updates in
    one number, so that AdamW's correction of its start is wrong, and all take the first group's weight decay."""

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        zero = kwargs["optimizer"].optimizer
        for of_parameter in zero.optimizer.state.values():
            if isinstance(of_parameter.get("step"), Tensor):
                of_parameter["step"] = of_parameter["step"].clone()
        # Of transformers' Trainer: weights, then biases and norms.
        for group, weight_decay in zip(zero.optimizer.param_groups, (args.weight_decay, 0.0), strict=False):
            group["weight_decay"] = weight_decay


def _convert(checkpoint: Path) -> None:
    """In a process of its own: DeepSpeed's program prints, and is one of a group if it finds a launcher's variables."""
    (parts,) = checkpoint.glob("global_step*")
    with atomic.folder(checkpoint / FOLDER) as made:  # it writes the name of what it made beside that
        command = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--inject_missing_state"]
        command += ["--input_folder", str(parts), "--output_folder", str(made / STATE)]
        command += ["--num_extract_workers", str(WORKERS), "--num_merge_workers", str(WORKERS)]
        env = {name: value for name, value in os.environ.items() if name not in outer.VARIABLES}
        ended = subprocess.run(command, env=env, capture_output=True, text=True)
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["no reason"])[-1]
            raise UserError(
                f"{checkpoint} cannot be written anew for another number of processes ({last}): go on with as many as wrote it"
            )
    atomic.write(checkpoint / LATEST, f"{FOLDER}/{STATE}")
