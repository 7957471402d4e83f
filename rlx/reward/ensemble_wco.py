"""Worst-case optimisation: a completion is worth what its most sceptical member says."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.reward._ensemble import COSTE, load_ensemble


def ensemble_wco(scores_MB: Tensor) -> Tensor:
    """R_wco = min_i R_i, shape (B,) (Coste et al., arXiv 2310.02743, eq. 4). Needs the members on one scale."""
    return scores_MB.amin(0)


@dataclass(frozen=True)
class EnsembleWCO:
    title: ClassVar[str] = "the most sceptical of {num_members} reward models (WCO)"
    papers: ClassVar[tuple[Paper, ...]] = (COSTE,)

    num_members: PositiveInt

    scores_each_member: ClassVar[bool] = True

    @property
    def members(self) -> range:
        return range(self.num_members)

    def scorer(self, sources: Sources) -> Scorer:
        return load_ensemble(sources, ensemble_wco)
