"""One process on the CPU."""

import os
from dataclasses import dataclass
from typing import ClassVar

import torch

from rlx.core.numbers import PositiveInt, Threads


@dataclass(frozen=True)
class CPU:
    """`micro_batch_size` prompts stand in memory at once while learning (null: the whole minibatch), `rows` completions
    while scoring."""

    num_threads: Threads
    micro_batch_size: PositiveInt | None
    rows: PositiveInt
    compile: bool

    num_processes: ClassVar[int] = 1
    num_nodes: ClassVar[int] = 1
    place_members: ClassVar[bool] = False
    layout: ClassVar[str] = "whole"
    casts_weights: ClassVar[bool] = False
    spreads_weights: ClassVar[bool] = False

    def start(self) -> None:
        """To be called before any model is made: this process sees no GPU, should there be one."""
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed logs a warning
        torch.set_num_threads(self.num_threads)

    def distribution(self) -> dict[str, object]:
        """What transformers.TrainingArguments must be told to spread a model: nothing."""
        return {}

    def training_arguments(self) -> dict[str, object]:
        """The device, and fp32 unless the model is bfloat16: TRL's own default is bf16."""
        return {"use_cpu": True, "bf16": False}
