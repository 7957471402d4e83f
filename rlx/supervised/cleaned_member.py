"""Reward models trained on weighed pairs: RewardMember with weights in its head's fit and in its training loss."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.artefact.store import Recipe, Store
from rlx.core.cleaner import Cleaner
from rlx.supervised.cleaning import PairWeights
from rlx.supervised.pairs import PreferencePairs
from rlx.supervised.probe import ScoreHead
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.sft import SFTPolicy
from rlx.supervised.trusted import TrustedPairs


@dataclass(frozen=True)
class MemberBesideTrusted(RewardMember):
    """A member of a world that gives its pairs, trained on all but the trusted ones, which count alike."""

    num_trusted: int

    @property
    def pairs(self) -> PreferencePairs:
        given = RewardMember.pairs.fget(self)  # pyright: ignore[reportOptionalCall]
        return PreferencePairs(TrustedPairs(given.clean, self.num_trusted), self.label_noise)


@dataclass(frozen=True)
class CleanedScoreHead(ScoreHead):
    """As ScoreHead, the probe's loss weighed as the members' loss is."""

    weights: PairWeights

    def pair_weights(self, store: Store, seed: int) -> Tensor:
        """Return the weights of the cleaner (B,), of mean 1."""
        return self.weights.of_mean_one(store, seed)


@dataclass(frozen=True)
class CleanedRewardMember(RewardMember):
    """A RewardMember whose pairs count as `cleaner` weighs them: in the head that it starts from, and in its loss."""

    VERSION: ClassVar[int] = 1

    cleaner: Cleaner
    pairs_given: bool  # by the world: the trusted ones are then a part of them

    @property
    def uncleaned(self) -> RewardMember:
        """Member 0 on the same pairs without weights. Where pairs are drawn, this is what cleaner=none trains."""
        fields = (self.world, self.model, self.sft, self.reward_model, self.label_noise, 0)
        return MemberBesideTrusted(*fields, self.cleaner.num_trusted) if self.pairs_given else RewardMember(*fields)

    @property
    def pairs(self) -> PreferencePairs:
        return self.uncleaned.pairs

    @property
    def trusted(self) -> TrustedPairs:
        return TrustedPairs(RewardMember.pairs.fget(self).clean, self.cleaner.num_trusted)  # pyright: ignore

    @property
    def pair_weights(self) -> PairWeights:
        source = self.uncleaned if self.cleaner.features == "member" else SFTPolicy(self.world, self.model, self.sft, 0)
        return PairWeights(self.pairs, self.trusted, source, self.cleaner)

    @property
    def head(self) -> CleanedScoreHead:
        policy = SFTPolicy(self.world, self.model, self.sft, 0)
        return CleanedScoreHead(policy, self.pairs, self.reward_model.probe_l2, self.pair_weights)

    def made_from(self) -> dict[str, Recipe]:
        """Also the trusted pairs, the weights, and the reward model that the weights are learnt with."""
        named: dict[str, Recipe] = {"preference pairs": self.pairs, "trusted pairs": self.trusted}
        if self.cleaner.features == "member":
            named |= {"score head, uncleaned": self.uncleaned.head, "reward model 0, uncleaned": self.uncleaned}
        return named | {"pair weights": self.pair_weights, "score head": self.head}

    def weights(self, store: Store, seed: int) -> list[float] | None:
        """The pairs' weights divided by their mean, so that the loss has the scale that learning rate and gradient clipping
        were chosen for."""
        return self.pair_weights.of_mean_one(store, seed).tolist()
