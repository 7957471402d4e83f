"""Every held-out measurement of an evaluation, in one row."""

import logging
import math

from rlx.core.evaluation import Evaluation
from rlx.metric import (
    correlation,
    disagreement,
    divergence,
    diversity,
    entropy,
    factors,
    length,
    length_control,
    meteor,
    score,
    win_rate,
)

log = logging.getLogger(__name__)
MEASUREMENTS = (
    score,
    win_rate,
    length_control,
    correlation,
    divergence,
    entropy,
    length,
    diversity,
    meteor,
    disagreement,
    factors,
)


def measure_all(evaluation: Evaluation) -> dict[str, float]:
    """Metric name -> finite number. What is undefined for these completions is absent; what came out NaN or infinite is
    absent too, with a warning that names it, because JSON has no such number."""
    row: dict[str, float] = {}
    for measurement in MEASUREMENTS:
        metrics = measurement.measure(evaluation)
        assert not (twice := row.keys() & metrics.keys()), f"{measurement.__name__} measures {twice} a second time"
        row |= metrics
    for name in [name for name, value in row.items() if not math.isfinite(value)]:
        log.warning("%s is %s on this evaluation and is left out of its row", name, row.pop(name))
    return row
