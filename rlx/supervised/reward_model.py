"""Reward models by TRL's RewardTrainer: the members that every reward choice is made of.

Members share trunk family, data, label noise and the probed head; they differ in the order of the pairs, dropout,
learning rate and SFT checkpoint, which is WARM's recipe (arXiv 2401.12187, section 4).
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch

from rlx.artefact.store import Recipe, Store
from rlx.core.numbers import Fraction, NonNegative, Positive, PositiveInt
from rlx.core.seed import seed_of
from rlx.core.world import World
from rlx.model.recipe import Model
from rlx.supervised.importance_penalty import ImportancePenalty
from rlx.supervised.member import Member, base_address, train_member
from rlx.supervised.pairs import CleanPairs, PreferencePairs, read
from rlx.supervised.probe import ScoreHead, load_head
from rlx.supervised.reference_set import ReferenceSet, read_reference_set
from rlx.supervised.reward_rows import RewardRows
from rlx.supervised.sft import SFT, SFTPolicy
from rlx.supervised.trl_trainers import FitSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RewardModel:
    num_pairs: PositiveInt  # drawn for training; worlds that give pairs give them all
    num_heldout_pairs: PositiveInt  # clean, to measure accuracy on
    completions_per_prompt: PositiveInt
    temperature: Positive
    sampling_batch_size: PositiveInt
    probe_l2: Positive
    num_reference_completions: PositiveInt
    num_epochs: Positive
    batch_size: PositiveInt  # pairs per update
    micro_batch_size: PositiveInt | None
    learning_rate: Positive
    learning_rate_factors: tuple[Positive, ...]
    dropouts: tuple[Fraction, ...]
    trunks: Literal["last", "snapshots", "runs"]
    num_trunks: PositiveInt
    schedule: Literal["constant", "linear", "cosine"]
    warmup_share: Fraction
    weight_decay: NonNegative
    max_grad_norm: Positive
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        for name in ("learning_rate_factors", "dropouts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def training(self, name: str, learning_rate: float, seed: int) -> FitSettings:
        """How the model called `name` is trained; what differs between members are learning rate and seed."""
        return FitSettings(
            name=name,
            learning_rate_key="model.reward_learning_rate",
            num_epochs=self.num_epochs,
            batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            learning_rate=learning_rate,
            schedule=self.schedule,
            warmup_share=self.warmup_share,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            gradient_checkpointing=self.gradient_checkpointing,
            seed=seed,
        )


@dataclass(frozen=True)
class RewardMember:
    """A sequence-classification directory with tokenizer.

    config.score_mean and score_std are those of its raw scores on the reference set, whose ids are in
    reference_set.safetensors; member.json says how it was trained and how well.
    """

    VERSION: ClassVar[int] = 1

    world: World
    model: Model
    sft: SFT
    reward_model: RewardModel
    label_noise: float  # the world's; a field, because the world's own identity (its data) does not depend on it
    index: int

    @property
    def pairs(self) -> PreferencePairs:
        r = self.reward_model
        clean = CleanPairs(
            self.world, self.model, self.sft, r.num_pairs, r.num_heldout_pairs, r.completions_per_prompt,
            r.temperature, r.sampling_batch_size,
        )  # fmt: skip
        return PreferencePairs(clean, self.label_noise)

    @property
    def head(self) -> ScoreHead:
        return ScoreHead(SFTPolicy(self.world, self.model, self.sft, 0), self.pairs, self.reward_model.probe_l2)

    def made_from(self) -> dict[str, Recipe]:
        """What the member's training needs besides its trunk and the reference set, by name."""
        return {"preference pairs": self.pairs, "score head": self.head}

    def weights(self, store: Store, seed: int) -> list[float] | None:
        """None: all pairs count alike."""
        return None

    def penalty(self, store: Store, seed: int) -> ImportancePenalty | None:
        """None: the loss is that of the pairs alone."""
        return None

    @property
    def reference_set(self) -> ReferenceSet:
        r = self.reward_model
        policy = SFTPolicy(self.world, self.model, self.sft, 0)
        return ReferenceSet(policy, r.num_reference_completions, r.temperature, r.sampling_batch_size)

    def trunk(self) -> tuple[SFTPolicy, str]:
        """The SFT policy that the member starts from, and the folder of it ("." or a snapshot)."""
        r = self.reward_model
        if r.trunks == "runs":
            return SFTPolicy(self.world, self.model, self.sft, self.index % r.num_trunks), "."
        policy = SFTPolicy(self.world, self.model, self.sft, 0)
        if r.trunks == "last" or (place := self.index % r.num_trunks) == 0:
            return policy, "."
        return policy, f"snapshot-{len(self.sft.snapshots) - place}"  # the latest first

    def drawn(self, seed: int) -> tuple[float, float]:
        """Learning rate and dropout: the first of each list for member 0, drawn by seed for the others."""
        r = self.reward_model
        if self.index == 0:
            return r.learning_rate * r.learning_rate_factors[0], r.dropouts[0]
        factor = r.learning_rate_factors[
            seed_of("member learning rate", seed, self.index) % len(r.learning_rate_factors)
        ]
        return r.learning_rate * factor, r.dropouts[seed_of("member dropout", seed, self.index) % len(r.dropouts)]

    def build(self, directory: Path, store: Store, seed: int) -> None:
        learning_rate, dropout = self.drawn(seed)
        policy, folder = self.trunk()
        pairs = store.fetch(self.pairs, seed)
        train = read(pairs / "pairs.jsonl")
        rows = RewardRows(self.model, [pair.prompt for pair in train])
        prompts, completions = read_reference_set(store.fetch(self.reference_set, seed))
        r = self.reward_model
        training = r.training(f"reward model {self.index}", learning_rate, seed_of("reward model", seed, self.index))
        path = store.fetch(policy, seed) / folder
        trunk = self.model.reward_trunk(path)
        head = load_head(store.fetch(self.head, seed))
        with torch.no_grad():
            trunk.score.weight.copy_(head)  # pyright: ignore
        member = Member(
            self.model,
            trunk,
            dropout,
            training,
            rows,
            rows.of_pairs(train),
            self.weights(store, seed),
            self.penalty(store, seed),
            read(pairs / "heldout.jsonl"),
            seed,
            prompts,
            completions,
            base_address(self.model, path, trunk, store),
        )
        made = train_member(member, directory, store.training_context(self, seed))
        made |= {"index": self.index, "trunk": f"SFT policy {policy.index}, {'end' if folder == '.' else folder}"}
        (directory / "member.json").write_text(json.dumps(made, indent=1, sort_keys=True), encoding="utf-8")
