"""The ratio of two means over the same units, with Fieller's interval (1954), which is exact for normal values."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rlx.metric.interval import mean_interval

MIN_UNITS = 3  # two say what they say only if both are exactly normal


@dataclass(frozen=True)
class Ratio:
    """mean(numerator) / mean(denominator) over `num` units with 95 % bounds; all None where `refused` says why."""

    num: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    refused: str | None = None


def ratio(numerator_U: np.ndarray, denominator_U: np.ndarray, what: str, confidence: float = 0.95) -> Ratio:
    """All R that the paired differences numerator - R denominator do not exclude, by Student's t over U units:

        (mean_x - R mean_y)^2 <= t^2 (s_xx - 2 R s_xy + R^2 s_yy) / U

    This is an interval where the one of the denominator (`what`) excludes 0, and no interval at all where it does not: the
    ratio is then refused. It is refused below MIN_UNITS units as well.
    """
    x_U, y_U = np.asarray(numerator_U, dtype=np.float64), np.asarray(denominator_U, dtype=np.float64)
    num = len(x_U)
    if num < MIN_UNITS:
        return Ratio(num, refused=f"{num} of at least {MIN_UNITS} data seeds")
    low, high = mean_interval(y_U, confidence)
    if low <= 0 <= high:
        return Ratio(num, refused=f"{what} includes 0: {y_U.mean():+.2f} [{low:.2f}, {high:.2f}]")
    (s_xx, s_xy), (_, s_yy) = np.cov(x_U, y_U) / num
    t2 = float(stats.t.ppf(0.5 + confidence / 2, num - 1)) ** 2
    mean_x, mean_y = float(x_U.mean()), float(y_U.mean())
    a, b, c = mean_y**2 - t2 * s_yy, mean_x * mean_y - t2 * s_xy, mean_x**2 - t2 * s_xx
    half = math.sqrt(max(b * b - a * c, 0.0))  # a > 0: the denominator's interval excludes 0
    return Ratio(num, mean_x / mean_y, (b - half) / a, (b + half) / a)
