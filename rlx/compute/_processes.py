"""What every choice for more than one process has in common. All of them run on GPUs where there are any, else on CPUs."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import torch
from torch import distributed

from rlx.compute.hang import leave_stacks
from rlx.core.numbers import Positive, PositiveInt, Threads
from rlx.model.recomputation import checkpointing
from rlx.process import processes
from rlx.process.device import see_one
from rlx.process.outer import launched

# While another process builds an artefact alone, or waits for one that another run builds.
PATIENCE = timedelta(hours=12)


def backend() -> str:
    """Return how processes send tensors: from GPUs where there are any."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


@dataclass(frozen=True)
class SeveralProcesses:
    """`num_processes` in total, over all nodes, one GPU each. `micro_batch_size` prompts and `rows` completions are those
    of one process."""

    num_processes: PositiveInt
    num_nodes: PositiveInt
    num_threads: Threads
    micro_batch_size: PositiveInt | None
    rows: PositiveInt
    compile: bool
    place_members: bool | Literal["auto"]
    gradient_checkpointing: bool
    grace: Positive  # s
    timeout: Positive  # s

    in_parts: ClassVar[bool] = False  # whether a process's checkpoint is a part of the whole
    casts_weights: ClassVar[bool] = False  # whether a policy of bfloat16 learns in such weights, in place of autocast
    spreads_weights: ClassVar[bool] = False

    @property
    def layout(self) -> str:
        """How a checkpoint lies on disk: whole where every process has the whole model, else a part for each."""
        return f"{type(self).__name__.lower()} on {self.num_processes} processes" if self.in_parts else "whole"

    def start(self) -> None:
        """To be called before any model is made: in a launcher's worker (RANK is set), find the others; a process that is
        to be alone sees a single GPU."""
        torch.set_num_threads(self.num_threads)
        if not launched() and self.num_processes == 1:  # not in one that will launch others
            see_one()
        if not torch.cuda.is_available():
            os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed logs a warning
        if not launched():
            return
        leave_stacks()
        if distributed.is_initialized():
            return
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group(backend(), timeout=timedelta(seconds=self.timeout))
        processes.have_patience(PATIENCE)

    def distribution(self) -> dict[str, object]:
        """What transformers.TrainingArguments, here and in TRL's trainers, must be told to spread a model."""
        return {}

    def training_arguments(self) -> dict[str, object]:
        """`distribution`, and the device."""
        cuda = torch.cuda.is_available()
        own: dict[str, object] = {"use_cpu": not cuda, "bf16": False, "dataloader_pin_memory": cuda}
        return own | checkpointing(self.gradient_checkpointing) | self.distribution()
