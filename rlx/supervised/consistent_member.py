"""Reward models that are held to a reference importance of factors: RewardMember with a penalty in its training loss."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from rlx.artefact.store import Recipe, Store
from rlx.attribution.consistent import Consistent
from rlx.attribution.importance import in_reverse
from rlx.core.error import UserError
from rlx.core.world import FactorWorld
from rlx.supervised.importance import FactorImportance
from rlx.supervised.importance_penalty import ImportancePenalty, shares_of
from rlx.supervised.pairs import PreferencePairs, read
from rlx.supervised.probe import ScoreHead
from rlx.supervised.reward_model import RewardMember


@dataclass(frozen=True)
class ConsistentRewardMember(RewardMember):
    """As `plain`, whose pairs, weights and head it has, with the penalty of `attribution`."""

    VERSION: ClassVar[int] = 1

    plain: RewardMember
    attribution: Consistent

    @property
    def pairs(self) -> PreferencePairs:
        return self.plain.pairs

    @property
    def head(self) -> ScoreHead:
        return self.plain.head

    def weights(self, store: Store, seed: int) -> list[float] | None:
        """Those of the plain member's pairs."""
        return self.plain.weights(store, seed)

    def made_from(self) -> dict[str, Recipe]:
        """Also the reward models without the penalty and the importance that is the reference, where there is one to measure."""
        named = self.plain.made_from()
        if (reference := self.reference) is not None:
            named |= {f"reward model {m.index}, without the penalty": m for m in reference.members}
            named["reference importance"] = reference
        return named

    @property
    def reference(self) -> FactorImportance | None:
        """What the reference is measured by: plain members or gold alone, on training pairs. None of a given prior."""
        numbers = self.attribution
        if numbers.reference == "given":
            return None
        plain = range(numbers.num_members if numbers.reference == "members" else 0)
        members = tuple(replace(self.plain, index=i) for i in plain)
        return FactorImportance(members, self.pairs, "train", numbers.num_reference_texts, self._world.factor_groups)

    def penalty(self, store: Store, seed: int) -> ImportancePenalty:
        """The penalty on the training pairs. Raises UserError where the reference is gold's and gold is no program."""
        pairs = read(store.fetch(self.pairs, seed) / "pairs.jsonl")
        return ImportancePenalty(self.attribution, self._world, self._shares(store, seed), pairs)

    def _shares(self, store: Store, seed: int) -> Tensor:
        numbers, reference = self.attribution, self.reference
        if reference is None:
            return numbers.prior_shares()
        if not reference.members and self.world.judge() is None:
            raise UserError(
                f"attribution.reference={numbers.reference}: this world has no judge that is a program; choose members or given"
            )
        found = json.loads((store.fetch(reference, seed) / "importance.json").read_text(encoding="utf-8"))
        share_G = shares_of(found, "member" if reference.members else "gold")
        return torch.tensor(in_reverse(share_G) if numbers.reference == "wrong" else share_G, dtype=torch.float64)

    @property
    def _world(self) -> FactorWorld:
        if not isinstance(self.world, FactorWorld):
            raise UserError(
                "attribution=consistent: the world has no groups of factors that can be taken out of a text; choose "
                "attribution=none"
            )
        return self.world
