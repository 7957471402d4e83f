"""How far the policy has moved, from its own samples: KL to the reference and to the start, and chi2 to the reference.

KL: the k1 estimate, sum over tokens of log pi/pi_ref, averaged over completions drawn from pi. Unbiased, and therefore
negative now and then for a small KL. chi2: Laidlaw et al. 2024 (arXiv 2403.03185) at the level of whole completions, with
an interval over prompts. Its ratios are heavy-tailed: where objective/chi2_tail is above 0.7, neither estimate
nor interval can be trusted. Both hold for completions drawn at temperature 1 from the whole vocabulary.
"""

import math

import torch
from torch import Tensor

from rlx.core.evaluation import Evaluation
from rlx.metric.interval import mean_interval
from rlx.regularizer.chi2 import chi2_estimate, clip_fraction, tail_shape

# Of the measurement, the same for all runs, so that they compare; regularizer.max_log_ratio is that of a run's penalty.
# Beyond it the ratio grows linearly: e^10 = 22,026 already drowns the mean.
LOG_RATIO_LIMIT = 10.0


def log_ratios(logps_BT: Tensor, other_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """L_B = sum_t mask_t (log pi_t - log other_t), in nats per completion, float64."""
    difference_BT = logps_BT.double() - other_logps_BT.double()
    return torch.where(mask_BT, difference_BT, 0.0).sum(-1)


def kl(L_B: Tensor) -> float:
    """KL(pi || other) = E_pi[L]: in nats per completion, unbiased, may be negative."""
    return L_B.mean().item()


def chi2(L_B: Tensor) -> dict[str, float]:
    """chi2(pi || ref) = E_pi[r + 1/r - 2], r = e^L, with 95 % bounds, the share of |L| > 10 and the tail's shape."""
    estimate_B = chi2_estimate(L_B, LOG_RATIO_LIMIT).numpy()
    row = {
        "objective/chi2": float(estimate_B.mean()),
        "objective/chi2_clip_fraction": clip_fraction(L_B, LOG_RATIO_LIMIT),
    }
    if len(estimate_B) > 1:
        row["objective/chi2_low"], row["objective/chi2_high"] = mean_interval(estimate_B)
    if (shape := tail_shape(L_B)) is not None:
        row["objective/chi2_tail"] = shape
    return row


def measure(evaluation: Evaluation) -> dict[str, float]:
    """KL and chi2 to the reference, KL to the start."""
    L_B = log_ratios(evaluation.logps_BT, evaluation.ref_logps_BT, evaluation.mask_BT)
    start_kl = kl(log_ratios(evaluation.logps_BT, evaluation.start_logps_BT, evaluation.mask_BT))
    return {
        "objective/kl": kl(L_B),
        "objective/sqrt_kl": math.sqrt(max(kl(L_B), 0.0)),
        "objective/kl_start": start_kl,
        "objective/sqrt_kl_start": math.sqrt(max(start_kl, 0.0)),
        **chi2(L_B),
    }
