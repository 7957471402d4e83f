"""Where reward-model members part ways: their mean scores, and the spread over members of one completion's score.

The spread is the population standard deviation, whose square is the intra-ensemble variance of Coste et al. 2023
(arXiv 2310.02743, equation of UWO).
"""

import numpy as np

from rlx.core.evaluation import Evaluation


def disagreement(member_scores_MB: np.ndarray) -> float:
    """mean over completions of sd over members, sd with denominator M."""
    return float(np.std(member_scores_MB, axis=0).mean())


def measure(evaluation: Evaluation) -> dict[str, float]:
    """Members' mean scores; the disagreement where there are two or more (one member cannot disagree)."""
    scores_MB = evaluation.member_scores_MB
    metrics = {f"ensemble/member_{i}": float(mean) for i, mean in enumerate(scores_MB.mean(axis=1))}
    if len(scores_MB) > 1:
        metrics["ensemble/std"] = disagreement(scores_MB)
    return metrics
