"""The small-loss baseline: fit all pairs as they are labelled, and drop those with the largest loss.

Networks fit right labels before wrong ones, so a large loss hints at a wrong label (Han and others 2018, arXiv 1804.06872,
whose two networks choose for each other; here one linear score on fixed features chooses once). It needs no trusted pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.cleaner import Features, PairEvidence
from rlx.core.numbers import Fraction, Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.model.probe import bradley_terry


def margins(evidence: PairEvidence, l2: float) -> Tensor:
    """Return y . d_b for every training pair (B,), y the linear score fitted to them all. The loss log(1 + exp(-margin))
    falls with it, so the least margin is the largest loss."""
    return evidence.differences_BH @ bradley_terry(evidence.differences_BH, l2)


def without_largest_losses(margins_B: Tensor, drop_share: float) -> Tensor:
    """Return 0 for the round(drop_share * B) pairs with the least margin and 1 for the others, (B,)."""
    weights_B = torch.ones_like(margins_B)
    weights_B[margins_B.argsort(stable=True)[: round(drop_share * len(margins_B))]] = 0.0
    return weights_B


@dataclass(frozen=True)
class SmallLoss:
    title: ClassVar[str] = "cleaned of the pairs with the largest loss"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels",
            "Han, Bo and others",
            2018,
            "1804.06872",
        ),
    )
    cleans: ClassVar[bool] = True
    num_steps: ClassVar[int] = 0

    num_trusted: PositiveInt
    features: Features
    l2: Positive
    drop_share: Fraction

    def weights(self, evidence: PairEvidence, advance: Callable[[], None]) -> Tensor:
        """Return 0 for the `drop_share` of the pairs with the largest loss and 1 for the others."""
        return without_largest_losses(margins(evidence, self.l2), self.drop_share)
