"""One process on the CPU, in fp32."""

from dataclasses import dataclass

from rlx.core.numbers import PositiveInt


@dataclass(frozen=True)
class CPU:
    """`micro_batch_size` prompts stand in memory at once while learning (null: the whole minibatch), `rows` completions
    while scoring."""

    num_threads: PositiveInt
    micro_batch_size: PositiveInt | None
    rows: PositiveInt

    def training_arguments(self) -> dict[str, object]:
        """What transformers.TrainingArguments must be told; TRL's and its own defaults (bf16) are for GPUs."""
        return {"use_cpu": True, "bf16": False}
