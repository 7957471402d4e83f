"""The policy by itself."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.decoder import DecodedPolicy


@dataclass(frozen=True)
class Plain:
    title: ClassVar[str] = "the policy alone"
    experts: ClassVar[tuple[str, ...]] = ()

    policy: DecodedPolicy

    def coefficients(self, large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor) -> Tensor:
        """No expert, no coefficient: (0, N)."""
        return large_NV.new_zeros(0, len(large_NV))
