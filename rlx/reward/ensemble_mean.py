"""The mean of the members: the baseline that the conservative aggregates must beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
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

    keeps_members: ClassVar[bool] = True  # scores are each member's own, and may be kept apart

    def combine(self, member_paths: Sequence[Path]) -> Scorer:
        return load_ensemble(member_paths, self.num_members, ensemble_mean)
