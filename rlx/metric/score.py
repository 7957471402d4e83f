"""The two scores side by side: the proxy that is optimised and the gold that nobody optimises.

Gold is also given in standard deviations of the start policy's completions, as Gao et al. 2022 (arXiv 2210.10760) and
Coste et al. 2023 (arXiv 2310.02743) plot it, with an interval for its gain over the start on the same prompts.
"""

import numpy as np

from rlx.core.evaluation import Evaluation
from rlx.metric.interval import mean_interval


def standardised(values_B: np.ndarray, start_B: np.ndarray) -> np.ndarray:
    """(values - start) / sd(start), prompt by prompt; its mean is (mean(values) - mean(start)) / sd(start)."""
    return (values_B - start_B) / np.std(start_B, ddof=1)


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
        gain_B = standardised(gold_B, start_B)
        metrics["gold/score_sd_units"] = float(gain_B.mean())
        metrics["gold/score_sd_units_low"], metrics["gold/score_sd_units_high"] = mean_interval(gain_B)
    return metrics
