"""One reward model: member 0, the one that every larger choice has too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from rlx.core.scorer import Scorer
from rlx.reward._ensemble import load_ensemble


def single(scores_MB: Tensor) -> Tensor:
    """R = R_1, shape (B,)."""
    assert len(scores_MB) == 1, f"one member wanted, {len(scores_MB)} given"
    return scores_MB[0]


@dataclass(frozen=True)
class Single:
    title: ClassVar[str] = "one reward model"

    keeps_members: ClassVar[bool] = True  # scores are each member's own, and may be kept apart

    @property
    def num_members(self) -> int:
        return 1

    def combine(self, member_paths: Sequence[Path]) -> Scorer:
        return load_ensemble(member_paths, 1, single)
