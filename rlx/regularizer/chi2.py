"""chi2(policy || reference) of whole completions: Correlated Proxies (Laidlaw et al., ICLR 2025, arXiv 2403.03185).

Convention: chi2 = E_ref[(r - 1)^2], without the factor 1/2 that Huang et al. (arXiv 2407.13399) put in front.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy import stats
from torch import Tensor

from rlx.core.numbers import NonNegative, Positive
from rlx.core.paper import Paper
from rlx.regularizer._controller import adapted_beta


def extended_expm1(log_ratio: Tensor, limit: float) -> Tensor:
    """exp(L) - 1 for L < limit, and its tangent beyond, e^limit (1 + L - limit) - 1: finite, with the slope kept."""
    inside = log_ratio.clamp(max=limit)
    return torch.expm1(inside) + math.exp(limit) * (log_ratio - inside)


def chi2_estimate(log_ratio_B: Tensor, limit: float) -> Tensor:
    """(r - 1) + (1/r - 1) per completion (B,): unbiased for chi2 under the policy, the second term being a zero-mean
    control variate, and never negative. Code of arXiv 2403.03185. An underestimate where |L| > limit."""
    return extended_expm1(log_ratio_B, limit) + extended_expm1(-log_ratio_B, limit)


def clip_fraction(log_ratio_B: Tensor, limit: float) -> float:
    """Return the share of completions whose |L| lies beyond `limit`, where the estimate uses the tangent."""
    return (log_ratio_B.abs() > limit).double().mean().item()


def tail_shape(log_ratio_B: Tensor) -> float | None:
    """Return the shape k of a generalised Pareto distribution through the largest ratios r: how heavy their tail is.

    Moments of order 1/k and above do not exist, so above k = 0.5 the mean of r has no finite variance, and above 0.7
    neither the mean nor a bootstrap interval of it can be trusted at any practical number of completions (Vehtari et
    al., arXiv 1507.02646, section 3.2; the tail is the largest min(B/5, 3 sqrt(B)) ratios, as there). None for fewer
    than 25 completions, or where the ratios are all alike.
    """
    num = len(log_ratio_B)
    if num < 25:
        return None
    ordered = (log_ratio_B - log_ratio_B.max()).double().sort().values
    num_tail = int(min(num / 5, 3 * math.sqrt(num)))
    # Above the threshold, and in units of the largest: the shape does not depend on the unit.
    excess = (ordered[-num_tail:].exp() - ordered[-num_tail - 1].exp()).clamp(min=0)
    excess = excess[excess > 0]
    if len(excess) < 5:
        return None
    shape, _, _ = stats.genpareto.fit((excess / excess.mean()).numpy(), floc=0)
    return float(shape)


def improvement_bound(proxy_gain: float, chi2: float, correlation: float) -> float:
    """Return the least gain in true reward, in SDs of it under the reference: (1/c) (D - sqrt((1 - c^2) chi2)).

    `proxy_gain` D is the proxy's gain in SDs of it under the reference, `correlation` c that of proxy and true reward
    under the reference, above 0. Theorem 5.1 of arXiv 2403.03185.
    """
    return (proxy_gain - math.sqrt((1 - correlation**2) * chi2)) / correlation


@dataclass(frozen=True)
class Chi2:
    """`root`: penalise sqrt(chi2), as the paper's bound asks; else chi2 itself. Beyond max_log_ratio, ratios grow
    linearly in |L|, and regularizer/clip_fraction counts these completions. `floor` keeps sqrt's slope finite at 0.

    The penalty f'(r) is as heavy-tailed as r. PPO whitens advantages, so where the penalty makes most of the reward's
    variance (objective/penalty_share near 1), a step learns from a few extreme ratios and hardly from the score.
    """

    title: ClassVar[str] = "a χ² penalty"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Correlated Proxies: A New Definition and Improved Mitigation for Reward Hacking",
            "Laidlaw, Cassidy and others",
            2024,
            "2403.03185",
        ),
    )

    beta: NonNegative
    root: bool
    max_log_ratio: Positive
    floor: Positive
    target: Positive | None
    horizon: Positive

    def divergence(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return chi2_estimate(_log_ratio(logps_BT, ref_logps_BT, mask_BT), self.max_log_ratio)

    def penalty(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """f'(r) = 2 (r - 1), or that over 2 sqrt(chi2), at the completion's last token: r is a ratio of whole texts,
        and ratios of tokens do not add up to it."""
        return _at_last_token(self._slope(_log_ratio(logps_BT, ref_logps_BT, mask_BT).detach()), mask_BT)

    def diagnostics(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> dict[str, float]:
        """The share of ratios beyond max_log_ratio."""
        log_ratio_B = _log_ratio(logps_BT, ref_logps_BT, mask_BT)
        return {"regularizer/clip_fraction": clip_fraction(log_ratio_B, self.max_log_ratio)}

    def token_divergence(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """sum_v p (p/q - 1), the ratio extended linearly beyond max_log_ratio; its root where `root` is set (of at least
        `floor`, below which it is not penalised)."""
        chi2 = (log_p.exp() * extended_expm1(log_p - log_q, self.max_log_ratio)).sum(-1)
        return chi2.clamp(min=self.floor).sqrt() if self.root else chi2

    def link(self, log_ratio: Tensor) -> Tensor:
        """z + log z of chi2-PO (arXiv 2407.13399), the derivative of the mixed (z - 1)^2 / 2 + z log z."""
        return extended_expm1(log_ratio, self.max_log_ratio) + 1 + log_ratio

    def next_beta(self, beta: float, divergence: float, num_completions: int) -> float:
        return adapted_beta(beta, divergence, self.target, self.horizon, num_completions)

    def _slope(self, log_ratio_B: Tensor) -> Tensor:
        slope_B = 2 * extended_expm1(log_ratio_B, self.max_log_ratio)
        if not self.root:
            return slope_B
        chi2 = chi2_estimate(log_ratio_B, self.max_log_ratio).mean()
        # Below the floor the paper's clip has no gradient: there is nothing to hold back yet.
        return slope_B / (2 * chi2.sqrt()) if chi2 > self.floor else torch.zeros_like(slope_B)


def _log_ratio(logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return ((logps_BT - ref_logps_BT) * mask_BT).sum(-1)


def _at_last_token(value_B: Tensor, mask_BT: Tensor) -> Tensor:
    last_B1 = mask_BT.long().sum(-1, keepdim=True).clamp(min=1) - 1
    return torch.zeros(mask_BT.shape, dtype=value_B.dtype, device=value_B.device).scatter(-1, last_B1, value_B[:, None])
