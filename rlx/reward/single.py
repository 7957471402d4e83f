"""One reward model, whichever of the members it is."""

from dataclasses import dataclass
from typing import ClassVar

from rlx.core.numbers import NonNegativeInt
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.reward._ensemble import load_member, single_model


@dataclass(frozen=True)
class Single:
    """R = R_i, the z-score of member i. A sweep over i is what Coste et al. (arXiv 2310.02743) call single: the mean over
    policies that were each trained on another member."""

    title: ClassVar[str] = "one reward model"

    member: NonNegativeInt

    scores_each_member: ClassVar[bool] = True

    @property
    def members(self) -> tuple[int]:
        return (self.member,)

    def scorer(self, sources: Sources) -> Scorer:
        (path,) = sources.members
        return single_model(load_member(path), sources.rows)
