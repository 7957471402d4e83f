"""How far the policy has moved, from its own samples: KL to the reference and to the start, and chi2 to the reference.

KL: the k1 estimate, sum over tokens of log pi/pi_ref, averaged over completions drawn from pi. Unbiased, and therefore
negative now and then for a small KL. chi2: Laidlaw et al. 2024 (arXiv 2403.03185) at the level of whole completions.
Both hold for completions drawn at temperature 1 from the whole vocabulary.
"""

import math

import torch
from torch import Tensor

from rlx.core.evaluation import Evaluation

LOG_RATIO_LIMIT = 10.0  # beyond it the ratio goes on linearly: e^10 = 22,026 already drowns the mean


def log_ratios(logps_BT: Tensor, other_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """L_B = sum_t mask_t (log pi_t - log other_t), in nats per completion, float64."""
    difference_BT = logps_BT.double() - other_logps_BT.double()
    return torch.where(mask_BT, difference_BT, 0.0).sum(-1)


def kl(L_B: Tensor) -> float:
    """KL(pi || other) = E_pi[L]: in nats per completion, unbiased, may be negative."""
    return L_B.mean().item()


def extended_expm1(L_B: Tensor) -> Tensor:
    """e^L - 1, and above L = 10 its tangent e^10 (1 + L - 10) - 1: continuous in value and slope."""
    inner_B = torch.expm1(L_B.clamp(max=LOG_RATIO_LIMIT))
    return inner_B + math.exp(LOG_RATIO_LIMIT) * (L_B - LOG_RATIO_LIMIT).clamp(min=0)


def chi2(L_B: Tensor) -> float:
    """chi2(pi || ref) = E_pi[r - 1] = E_pi[r + 1/r - 2], r = e^L: never below 0. An underestimate where |L| > 10."""
    return (extended_expm1(L_B) + extended_expm1(-L_B)).mean().item()


def clip_fraction(L_B: Tensor) -> float:
    """Share of completions whose |L| > 10, for which chi2 uses the tangent."""
    return (L_B.abs() > LOG_RATIO_LIMIT).double().mean().item()


def measure(evaluation: Evaluation) -> dict[str, float]:
    """KL and chi2 to the reference, KL to the start."""
    L_B = log_ratios(evaluation.logps_BT, evaluation.ref_logps_BT, evaluation.mask_BT)
    start_kl = kl(log_ratios(evaluation.logps_BT, evaluation.start_logps_BT, evaluation.mask_BT))
    return {
        "objective/kl": kl(L_B),
        "objective/sqrt_kl": math.sqrt(max(kl(L_B), 0.0)),
        "objective/kl_start": start_kl,
        "objective/sqrt_kl_start": math.sqrt(max(start_kl, 0.0)),
        "objective/chi2": chi2(L_B),
        "objective/chi2_clip_fraction": clip_fraction(L_B),
    }
