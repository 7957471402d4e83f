"""KL(policy || reference), the penalty of RLHF since Ziegler et al. 2019 (arXiv 1909.08593): f(z) = z log z."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rlx.core.numbers import NonNegative, Positive
from rlx.core.paper import Paper
from rlx.regularizer._controller import adapted_beta


def k1(logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """log pi(y_t) - log ref(y_t) per token (B, T), 0 where masked. Its sum is unbiased for KL when y is drawn from pi."""
    return (logps_BT - ref_logps_BT) * mask_BT


@dataclass(frozen=True)
class KL:
    """beta fixed, or steered to `target` nats per completion over `horizon` completions."""

    title: ClassVar[str] = "a KL penalty"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Fine-Tuning Language Models from Human Preferences", "Ziegler, Daniel M. and others", 2019, "1909.08593"
        ),
    )

    beta: NonNegative
    target: Positive | None
    horizon: Positive

    def divergence(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return k1(logps_BT, ref_logps_BT, mask_BT).sum(-1)

    def penalty(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """f'(r) = log r + 1: the log-ratio itself, token by token, as every token's reward."""
        return k1(logps_BT, ref_logps_BT, mask_BT).detach()

    def diagnostics(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> dict[str, float]:
        return {}

    def token_divergence(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """sum_v p (log p - log q)."""
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    def link(self, log_ratio: Tensor) -> Tensor:
        return log_ratio

    def next_beta(self, beta: float, divergence: float, num_completions: int) -> float:
        return adapted_beta(beta, divergence, self.target, self.horizon, num_completions)
