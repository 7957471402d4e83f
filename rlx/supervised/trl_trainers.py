"""The one place that touches TRL's trainers: SFTTrainer and RewardTrainer on rows of token ids, and their traps.

The traps, each of which has a line below: TRL's configs turn on bf16 and gradient checkpointing, filter NaN losses out
of the logs, cut long rows, disable dropout in reward models and train on the prompt unless told otherwise.
"""

import copy
import logging
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
import huggingface_hub.constants
import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from rlx.artefact import training_state
from rlx.artefact.store import TrainingContext
from rlx.compute.universal import make_readable
from rlx.core.error import UserError
from rlx.model.adapter import adapter_of
from rlx.model.precision import cast, with_full_precision
from rlx.model.recomputation import checkpointing
from rlx.model.shared_base import AdaptedRewardModel, SharedBase
from rlx.model.whole import blank_of, is_spread, plain_copy
from rlx.process import interruption, processes
from rlx.process.device import random_state_kept
from rlx.process.progress import Bar, stage
from rlx.supervised.loss_term import LossTerm, with_term
from rlx.supervised.pair_trainer import WEIGHT, PairTrainer

log = logging.getLogger(__name__)
# TRL's trainers report their use to the Hub when they are made. Not the environment variable of that name: it was read
# when huggingface_hub was first imported.
huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True)
class FitSettings:
    """One training: what it is called and its numbers."""

    name: str
    learning_rate_key: str  # the setting to lower when it diverges
    num_epochs: float
    batch_size: int  # rows (pairs) per update
    micro_batch_size: int | None  # rows on a device at once; None = its share of batch_size
    learning_rate: float
    schedule: Schedule
    warmup_share: float
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool
    seed: int  # dropout, adapters and the order of the rows

    def arguments(self, dtype: torch.dtype, training_context: TrainingContext) -> dict[str, Any]:
        """For this process: batch_size is of all processes together, micro_batch_size of each."""
        num = processes.size()
        micro = self.micro_batch_size or max(1, self.batch_size // num)
        if self.batch_size % (micro * num):
            each = f" x {num} processes" if num > 1 else ""
            raise UserError(
                f"{self.name}: batch_size {self.batch_size} is no multiple of micro_batch_size {micro}{each}"
            )
        cuda = torch.cuda.is_available()
        seed = self.seed % 2**31
        return {
            "output_dir": str(training_context.folder),
            "num_train_epochs": self.num_epochs,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": self.batch_size // (micro * num),
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup_share,  # a share of all updates if below 1
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            **checkpointing(self.gradient_checkpointing),
            "seed": seed,
            "data_seed": seed,
            "bf16": dtype == torch.bfloat16,
            "use_cpu": not cuda,
            "dataloader_pin_memory": cuda,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "save_strategy": "no",  # _Checkpoints says when
            "report_to": "none",
            "disable_tqdm": True,
            "max_length": None,
            **training_context.distribution,
        }


def fit_policy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, list[int]]],
    lora: LoraConfig | None,
    training: FitSettings,
    training_context: TrainingContext,
    snapshots: Sequence[float] = (),
    keep: Callable[[int, PreTrainedModel], None] | None = None,
) -> PreTrainedModel:
    """`model` fine-tuned on rows {"input_ids", "completion_mask"}, the loss on the completion alone.

    `keep(i, model)` is called with a copy of the model when the share snapshots[i] of the updates is done; not again for
    those that were done before an interruption.
    """
    with _alone():
        trained = _Trained(model, lora)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**training.arguments(trained.dtype, training_context), completion_only_loss=True),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=[_Snapshots(snapshots, trained, keep)] if keep else None,
        )
        _train(trainer, training, training_context)
        return trained.finished(trainer.model)


def fit_reward_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    lora: LoraConfig | None,
    training: FitSettings,
    training_context: TrainingContext,
    term: LossTerm | None = None,
) -> PreTrainedModel | AdaptedRewardModel:
    """`model` trained on rows {"chosen_ids", "rejected_ids"} by -log sigmoid(r(chosen) - r(rejected)), dropout on. Rows
    with a "weight" have their loss multiplied by it. `term` is added to the loss. With `lora`, what was learnt is an
    adapter on `model`, which stays as it was."""
    with _alone():
        trained = _Trained(model, lora)
        kind = PairTrainer if WEIGHT in rows[0] else RewardTrainer
        trainer: Any = (kind if term is None else with_term(kind, term))(
            model=model,
            args=RewardConfig(**training.arguments(trained.dtype, training_context), disable_dropout=False),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            peft_config=lora,
        )
        _train(trainer, training, training_context)
        return trained.finished(trainer.model) if lora is None else trained.adapted(trainer.model)


def _train(trainer: SFTTrainer | RewardTrainer, training: FitSettings, training_context: TrainingContext) -> None:
    """From the last checkpoint in `training_context`, if there is one. Raises Stopped, with the last update saved, when asked."""
    trainer.remove_callback(PrinterCallback)
    assert isinstance(trainer.train_dataset, Dataset)
    num, at_once = len(trainer.train_dataset), trainer.args.per_device_train_batch_size * processes.size()
    updates_per_epoch = math.ceil(math.ceil(num / at_once) / trainer.args.gradient_accumulation_steps)
    if processes.size() > 1 and num % at_once and processes.first():
        repeated = at_once - num % at_once
        log.warning(
            "%s: %d rows leave the last batch of %d processes short; %d rows are repeated in it, each pass",
            training.name, num, processes.size(), repeated,
        )  # fmt: skip
    num_updates = math.ceil(updates_per_epoch * training.num_epochs)
    with stage(training.name, num_updates) as bar, interruption.at_steps():
        trainer.add_callback(_Watch(training, bar))
        trainer.add_callback(_Checkpoints(training_context))
        if checkpoint := training_state.latest(training_context.folder):
            make_readable(checkpoint, training_context.layout, f"the {training.name}", trainer)
            if processes.first():
                log.info("%s: going on after update %d of %d", training.name, checkpoint.step, num_updates)
            bar.advance(checkpoint.step)
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    interruption.check()


class _Trained:
    """What becomes of `model`: from its dtype to full-precision masters, where it is trained whole (in bfloat16, small
    updates would round to nothing), and back to a plain model that knows of no trainer and no other process."""

    def __init__(self, model: PreTrainedModel, lora: LoraConfig | None) -> None:
        self.dtype = model.dtype
        if lora is None:
            cast(model, torch.float32)
        if isinstance(head := getattr(model, "score", None), torch.nn.Linear):
            with_full_precision(head)  # trained whole beside adapters, too
        self._blank: Any = None
        if processes.grouped():  # a back end may take the model apart
            self._blank = blank_of(model if lora is None else get_peft_model(copy.deepcopy(model), copy.deepcopy(lora)))

    def finished(self, model: Any) -> PreTrainedModel:
        """Weights together again, adapters merged, masters rounded to the model's dtype, no gradients."""
        if is_spread(model):
            model = plain_copy(model, self._blank)
        if isinstance(model, PeftModel):
            model = model.merge_and_unload()  # pyright: ignore[reportCallIssue]
        return cast(model, self.dtype).requires_grad_(False).eval()

    def adapted(self, model: Any) -> AdaptedRewardModel:
        """Weights together again, and the adapter with its head apart from them."""
        if is_spread(model):
            model = plain_copy(model, self._blank)
        adapter, config = adapter_of(model), model.config
        return SharedBase(model.unload()).adapted(adapter, config)

    def snapshot(self, model: Any) -> PreTrainedModel:
        """The same of a copy, while the training goes on."""
        return self.finished(plain_copy(model, self._blank))


class _Snapshots(TrainerCallback):
    def __init__(
        self, shares: Sequence[float], trained: _Trained, keep: Callable[[int, PreTrainedModel], None]
    ) -> None:
        self.shares, self.trained, self.keep = shares, trained, keep

    def on_step_end(self, args, state, control, **kwargs) -> None:
        for i, share in enumerate(self.shares):
            if state.global_step == max(1, round(share * state.max_steps)):
                self.keep(i, self.trained.snapshot(kwargs["model"]))


class _Checkpoints(TrainerCallback):
    """Saves when asked to stop, and so often that a kill costs no more than `training_context.minutes`; the newest is kept."""

    def __init__(self, training_context: TrainingContext) -> None:
        self.training_context, self.saved = training_context, time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        stopping = interruption.stopping()
        due = processes.agreed(time.monotonic() - self.saved >= 60 * self.training_context.minutes)
        control.should_training_stop |= stopping
        control.should_save = stopping or (due and state.global_step < state.max_steps)
        return control

    def on_save(self, args, state, control, **kwargs) -> None:
        new = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        training_state.mark(new, state.global_step, self.training_context.layout)
        self.saved = time.monotonic()
        if processes.first():
            for old in set(new.parent.glob("checkpoint-*")) - {new}:
                shutil.rmtree(old)


class _Watch(TrainerCallback):
    """Moves the bar, and stops a training whose loss or gradient is no number any more."""

    def __init__(self, training: FitSettings, bar: Bar) -> None:
        self.training, self.bar = training, bar

    def on_log(self, args, state, control, logs: dict[str, float] | None = None, **kwargs) -> None:
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                raise UserError(
                    f"{self.training.name}: {name} became {float(value)} at update {state.global_step} with learning "
                    f"rate {self.training.learning_rate:g}; lower {self.training.learning_rate_key}"
                )
        if logs and "loss" in logs:
            self.bar.advance(state.global_step - self.bar.done, note=f"loss {float(logs['loss']):.3f}")


@contextmanager
def _alone() -> Iterator[None]:
    """Trainers seed the global random states, and datasets shows bars of its own: both are put back."""
    bars = not datasets.are_progress_bars_disabled()
    python, numpy = random.getstate(), np.random.get_state()
    datasets.disable_progress_bars()
    try:
        with random_state_kept():
            yield
    finally:
        unset_hf_deepspeed_config()  # else the next model would be taken apart while it is loaded
        random.setstate(python)
        np.random.set_state(numpy)
        if bars:
            datasets.enable_progress_bars()
