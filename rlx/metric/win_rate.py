"""How often the policy's completion has more gold than the start policy's on the same prompt; a tie counts half.

The interval is Wilson's (1927) with Student's quantile, at the number of coin flips that would vary as the outcomes do: ties
make it larger than the number of prompts. Where every prompt had the same outcome, Clopper and Pearson's (1934) exact
bound on the share of unseen outcomes is used instead.
"""

import math

import numpy as np
from scipy import stats

from rlx.core.evaluation import Evaluation
from rlx.metric.score import gain


def outcomes(gold_B: np.ndarray, start_gold_B: np.ndarray) -> np.ndarray:
    """1 where gold > start's gold, 0 where it is below, 0.5 where they are equal up to float noise."""
    return (np.sign(gain(gold_B, start_gold_B)) + 1) / 2


def interval(outcomes_B: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bounds of the mean outcome, within [0, 1]. If all B outcomes are alike, the mass q of any other outcome is
    bounded by (1 - q)^B = (1 - confidence) / 2, and that mass may all lie at 0 or all at 1."""
    mean, B = float(outcomes_B.mean()), len(outcomes_B)
    if np.ptp(outcomes_B) == 0:
        unseen = 1 - ((1 - confidence) / 2) ** (1 / B)
        return mean - unseen * mean, mean + unseen * (1 - mean)
    t = float(stats.t.ppf(0.5 + confidence / 2, B - 1))
    flips = B * mean * (1 - mean) / float(outcomes_B.var())
    centre = (mean + t**2 / (2 * flips)) / (1 + t**2 / flips)
    half = t * math.sqrt(mean * (1 - mean) / flips + t**2 / (4 * flips**2)) / (1 + t**2 / flips)
    return centre - half, centre + half


def measure(evaluation: Evaluation) -> dict[str, float]:
    """The win rate over the start with its interval, as shares of 1."""
    outcomes_B = outcomes(evaluation.gold_B, evaluation.start_gold_B)
    low, high = interval(outcomes_B)
    return {"gold/win_rate": float(outcomes_B.mean()), "gold/win_rate_low": low, "gold/win_rate_high": high}
