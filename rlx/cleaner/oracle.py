"""The oracle that drops the flipped pairs: the control. What it gains is all that cleaning can gain.

It reads which labels the world's label noise swapped, so it says nothing about pairs whose labels were wrong before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.cleaner import Features, PairEvidence
from rlx.core.numbers import Positive, PositiveInt


@dataclass(frozen=True)
class Oracle:
    """No experiment's result, as nobody knows the flips outside a control."""

    title: ClassVar[str] = "cleaned by an oracle that drops the flipped pairs"
    cleans: ClassVar[bool] = True
    num_steps: ClassVar[int] = 0

    num_trusted: PositiveInt
    features: Features
    l2: Positive

    def weights(self, evidence: PairEvidence, advance: Callable[[], None]) -> Tensor:
        """Return 0 for flipped pairs and 1 for the others."""
        return 1.0 - evidence.flipped_B.double()
