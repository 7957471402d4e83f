"""No cleaning: every pair counts alike, and reward models are the very ones that a config without this group makes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.cleaner import Features, PairEvidence


@dataclass(frozen=True)
class NoCleaner:
    title: ClassVar[str] = "all pairs alike"
    cleans: ClassVar[bool] = False
    num_trusted: ClassVar[int] = 0
    num_steps: ClassVar[int] = 0
    features: ClassVar[Features] = "trunk"
    l2: ClassVar[float] = 0.0

    def weights(self, evidence: PairEvidence, advance: Callable[[], None]) -> Tensor:
        """Return ones."""
        return torch.ones(len(evidence.differences_BH), dtype=torch.float64)
