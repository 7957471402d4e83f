"""SFT policies: the base fine-tuned on the demonstrations by TRL's SFTTrainer, once per index, each in its own order.

Several of them, from one base and one data set, are what a soup is averaged from (SALSA, arXiv 2411.01798).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.numbers import Fraction, NonNegative, Positive, PositiveInt
from rlx.core.seed import seed_of
from rlx.core.world import Demonstration, World
from rlx.model.checkpoint import quiet
from rlx.model.recipe import Model
from rlx.model.tokens import check_completion, encode_completion, encode_prompt
from rlx.process import processes
from rlx.supervised.limit import length_limit, say_left_out
from rlx.supervised.trl_trainers import FitSettings, fit_policy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SFT:
    num_epochs: Positive  # passes over the demonstrations
    batch_size: PositiveInt  # demonstrations per update
    micro_batch_size: PositiveInt | None
    learning_rate: Positive
    schedule: Literal["constant", "linear", "cosine"]
    warmup_share: Fraction
    weight_decay: NonNegative
    max_grad_norm: Positive
    gradient_checkpointing: bool
    snapshots: tuple[Fraction, ...]  # shares of the updates after which the weights are kept as well

    def __post_init__(self) -> None:
        object.__setattr__(self, "snapshots", tuple(self.snapshots))


@dataclass(frozen=True)
class SFTPolicy:
    """A from_pretrained directory with tokenizer; `snapshot-<i>/` inside it for every entry of `sft.snapshots`."""

    VERSION: ClassVar[int] = 1

    world: World
    model: Model
    sft: SFT
    index: int

    def build(self, directory: Path, store: Store, seed: int) -> None:
        tokenizer, training_context = self.model.tokenizer(), store.training_context(self, seed)
        demonstrations, left_out = length_limit(self.world, tokenizer).demonstrations(self.world.demonstrations(seed))
        say_left_out(f"SFT policy {self.index}", left_out)
        demonstrations = self.world.to_train_on("demonstrations", demonstrations)
        if not demonstrations:
            raise UserError(
                f"no demonstration is left to train an SFT policy on ({left_out or 'the world has none'}); "
                "raise world.max_prompt_tokens or world.max_completion_tokens"
            )

        def save(path: Path, model: Any) -> None:
            with quiet():
                model.save_pretrained(path)
            tokenizer.save_pretrained(path)

        def keep(i: int, model: Any) -> None:
            if processes.first():
                save(training_context.folder / f"snapshot-{i}", model)  # which outlives an interruption

        policy = fit_policy(
            self.model.policy(None),
            tokenizer,
            [_row(tokenizer, demonstration) for demonstration in demonstrations],
            self.model.lora("CAUSAL_LM"),
            self.training(seed),
            training_context,
            self.sft.snapshots,
            keep,
        )
        save(directory, policy)
        if processes.first():
            for i in range(len(self.sft.snapshots)):
                (training_context.folder / f"snapshot-{i}").rename(directory / f"snapshot-{i}")
        counts = {"demonstrations": len(demonstrations), "left_out": left_out}
        (directory / "sft.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")

    def training(self, seed: int) -> FitSettings:
        """The numbers of its fine-tuning."""
        sft = self.sft
        return FitSettings(
            name=f"SFT policy {self.index}",
            learning_rate_key="model.sft_learning_rate",
            num_epochs=sft.num_epochs,
            batch_size=sft.batch_size,
            micro_batch_size=sft.micro_batch_size,
            learning_rate=sft.learning_rate,
            schedule=sft.schedule,
            warmup_share=sft.warmup_share,
            weight_decay=sft.weight_decay,
            max_grad_norm=sft.max_grad_norm,
            gradient_checkpointing=sft.gradient_checkpointing,
            seed=seed_of("SFT policy", seed, self.index),
        )


def _row(tokenizer: Any, demonstration: Demonstration) -> dict[str, list[int]]:
    check_completion(tokenizer, demonstration.completion, f"demonstration on prompt {demonstration.prompt.id}")
    prompt = encode_prompt(tokenizer, demonstration.prompt.text)
    completion = encode_completion(tokenizer, demonstration.completion)
    return {"input_ids": prompt + completion, "completion_mask": [0] * len(prompt) + [1] * len(completion)}
