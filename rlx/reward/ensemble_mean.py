"""The mean of the members: the baseline that the conservative aggregates must beat."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.reward._ensemble import COSTE, load_ensemble


def ensemble_mean(scores_MB: Tensor) -> Tensor:
    """R_mu = (1/M) sum_i R_i, shape (B,) (Coste et al., arXiv 2310.02743, eq. 3)."""
    return scores_MB.mean(0)


@dataclass(frozen=True)
class EnsembleMean:
    title: ClassVar[str] = "the mean of {num_members} reward models"
    papers: ClassVar[tuple[Paper, ...]] = (COSTE,)

    num_members: PositiveInt

    scores_each_member: ClassVar[bool] = True

    @property
    def members(self) -> range:
        return range(self.num_members)

    def scorer(self, sources: Sources) -> Scorer:
        return load_ensemble(sources, ensemble_mean)
