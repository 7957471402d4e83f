"""Proxy tuning (arXiv 2401.08565): the whole change that training made to a small policy, added to a larger one's logits."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.decoder import DecodedPolicy
from rlx.core.numbers import NonNegative
from rlx.core.paper import Paper


@dataclass(frozen=True)
class Proxy:
    title: ClassVar[str] = "proxy tuning"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Tuning Language Models by Proxy",
            "Liu, Alisa and Han, Xiaochuang and Wang, Yizhong and Tsvetkov, Yulia and Choi, Yejin and Smith, Noah A.",
            2024,
            "2401.08565",
        ),
    )

    policy: DecodedPolicy
    experts: tuple[str, ...]
    alpha: NonNegative

    def __post_init__(self) -> None:
        object.__setattr__(self, "experts", tuple(self.experts))

    def coefficients(self, large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor) -> Tensor:
        """`alpha` for every expert everywhere, (T, N)."""
        return large_NV.new_full(experts_TNV.shape[:2], self.alpha)
