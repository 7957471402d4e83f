"""Worst-case optimisation: a completion is worth what its most sceptical member says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
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

    keeps_members: ClassVar[bool] = True  # scores are each member's own, and may be kept apart

    def combine(self, member_paths: Sequence[Path]) -> Scorer:
        return load_ensemble(member_paths, self.num_members, ensemble_wco)
