"""The two scores side by side: the proxy that is optimised and the gold that nobody optimises.

Gold is also given in standard deviations of the start policy's completions, as Gao et al. 2022 (arXiv 2210.10760) and
Coste et al. 2023 (arXiv 2310.02743) plot it, with an interval for its gain over the start on the same prompts.
"""

import numpy as np

from rlx.core.evaluation import Evaluation
from rlx.metric.interval import mean_interval


def gain(gold_B: np.ndarray, start_gold_B: np.ndarray) -> np.ndarray:
    """gold - start's gold, and exactly 0 where they differ by float noise: a reward model that scores one text in two
    batches of different shape gives numbers that agree to about seven digits, and that is a tie."""
    return np.where(np.isclose(gold_B, start_gold_B, rtol=1e-6, atol=1e-6), 0.0, gold_B - start_gold_B)


def standardised(values_B: np.ndarray, start_B: np.ndarray) -> np.ndarray:
    """(values - start) / sd(start), prompt by prompt; its mean is (mean(values) - mean(start)) / sd(start)."""
    return gain(values_B, start_B) / np.std(start_B, ddof=1)


def measure(evaluation: Evaluation) -> dict[str, float]:
    """Means and standard deviations over completions. What needs a spread is left out where there is none."""
    gold_B, start_B, proxy_B = evaluation.gold_B, evaluation.start_gold_B, evaluation.proxy_B
    metrics = {
        "evaluation/num_prompts": float(len(gold_B)),
        "proxy/score": float(proxy_B.mean()),
        "gold/score": float(gold_B.mean()),
        "gold/start_score": float(start_B.mean()),
    }
    if len(gold_B) > 1:
        metrics |= {"proxy/score_std": float(proxy_B.std(ddof=1)), "gold/std": float(gold_B.std(ddof=1))}
    if len(start_B) > 1 and np.ptp(start_B) > 0:
        gains_B = standardised(gold_B, start_B)
        metrics["gold/score_sd_units"] = float(gains_B.mean())
        metrics["gold/score_sd_units_low"], metrics["gold/score_sd_units_high"] = mean_interval(gains_B)
    return metrics
