"""How sure a mean over independent units is: Student's t (1908), exact for normal values at any number of them.

Simulated at 5 to 256 values, it misses the mean of normal ones in 4.9 to 5.2 of 100; of exponential ones, which are far more
skewed than a gain in gold is, in 10 at 8 values and in 7 at 32. The bootstrap (BCa) missed 12 of 100 at 8 normal values.
"""

import math

import numpy as np
from scipy import stats


def mean_interval(values_N: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return mean -+ t_{N-1} sd / sqrt(N) of N independent values.

    Values that are all alike give an interval of no width; callers judge whether that is believable (`win_rate` does
    not believe it). Raises ValueError for fewer than two values, which have no spread.
    """
    values_N = np.asarray(values_N, dtype=np.float64)
    if values_N.size < 2:
        raise ValueError(f"an interval needs at least two values, got {values_N.size}")
    mean, sd = float(values_N.mean()), float(values_N.std(ddof=1))
    half = float(stats.t.ppf(0.5 + confidence / 2, values_N.size - 1)) * sd / math.sqrt(values_N.size)
    return mean - half, mean + half
