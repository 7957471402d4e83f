"""How often the policy's completion has more gold than the start policy's on the same prompt; a tie counts half.

The interval is a 95 % bootstrap over prompts. Where every prompt had the same outcome the bootstrap would be certain of
it after one prompt, so Clopper and Pearson's (1934) exact bound on the share of unseen outcomes is used instead.
"""

import logging

import numpy as np

from rlx.core.evaluation import Evaluation
from rlx.metric.interval import mean_interval
from rlx.metric.score import gain

log = logging.getLogger(__name__)


def outcomes(gold_B: np.ndarray, start_gold_B: np.ndarray) -> np.ndarray:
    """1 where gold > start's gold, 0 where it is below, 0.5 where they are equal up to float noise."""
    return (np.sign(gain(gold_B, start_gold_B)) + 1) / 2


def interval(outcomes_B: np.ndarray) -> tuple[float, float]:
    """95 % bounds of the mean outcome, within [0, 1]. If all B outcomes are alike, the mass q of any other outcome is
    bounded by (1 - q)^B = 0.025, and that mass may all lie at 0 or all at 1."""
    if np.ptp(outcomes_B) > 0:
        return mean_interval(outcomes_B)
    value, unseen = float(outcomes_B[0]), 1 - 0.025 ** (1 / len(outcomes_B))
    return value - unseen * value, value + unseen * (1 - value)


def measure(evaluation: Evaluation) -> dict[str, float]:
    """The win rate over the start with its interval, as shares of 1."""
    outcomes_B = outcomes(evaluation.gold_B, evaluation.start_gold_B)
    low, high = interval(outcomes_B)
    if np.ptp(outcomes_B) == 0:
        log.info(
            "all %d prompts had the same outcome against the start: exact interval in place of a bootstrap",
            len(outcomes_B),
        )
    return {"gold/win_rate": float(outcomes_B.mean()), "gold/win_rate_low": low, "gold/win_rate_high": high}
