"""Is one choice better than another? Differences of the same seeds, their interval, and how many seeds would tell.

The independent unit is the seed: cells that share it share their data and their luck, so that differences within a seed are
averaged first, over the settings of the other axes. A bootstrap over few values never leaves their range and holds less than
it says (for three seeds about 75 % in place of 95 %), so its interval is never taken narrower than Student's t.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES_SEED = 20260101  # the resampling's own; an interval must not depend on a run's seed
NUM_RESAMPLES = 9999
MAX_SEEDS = 1000
MIN_SEEDS = 3  # two say what they say only if differences are exactly normal


@dataclass(frozen=True)
class Difference:
    """Mean of `first - second` over `num` seeds, with 95 % bounds (None for one seed, or where seeds make no difference)."""

    value: float
    low: float | None
    high: float | None
    num: int
    sd: float  # over seeds; 0 for one seed
    p: float | None  # exact sign-flip permutation test, two-sided
    needed: int | None  # seeds that would tell such a difference from none; None beyond MAX_SEEDS or where unknown

    @property
    def distinguishable(self) -> bool:
        """Whether the interval excludes zero, over at least MIN_SEEDS."""
        return (
            self.num >= MIN_SEEDS and self.low is not None and self.high is not None and not self.low <= 0 <= self.high
        )


def paired_difference(first_N: Sequence[float], second_N: Sequence[float]) -> Difference:
    """Of N values each, one a seed, in the same order of seeds.

    Differences that are alike in all seeds to the last bit say that the seed did not enter: they count as one.
    """
    first, second = np.asarray(first_N, dtype=np.float64), np.asarray(second_N, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f"pairs need as many values of both: {first.shape} and {second.shape}")
    difference_N = first - second
    value = float(difference_N.mean())
    if len(difference_N) < 2 or np.ptp(difference_N) <= 1e-12 * max(1.0, abs(value)):
        return Difference(value, None, None, len(difference_N), 0.0, None, None)
    sd = float(difference_N.std(ddof=1))
    low, high = paired_interval(first, second)
    return Difference(value, low, high, len(difference_N), sd, sign_flip_p(difference_N), seeds_needed(value, sd))


def paired_interval(first_N: np.ndarray, second_N: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of the mean difference: the wider, on either side, of scipy's paired bootstrap (BCa) and Student's t."""
    t_low, t_high = t_interval(first_N - second_N, confidence)
    for method in ("BCa", "percentile"):  # BCa has no answer where nearly all resamples agree
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = stats.bootstrap(
                (first_N, second_N),
                lambda a, b, axis=-1: np.mean(a - b, axis=axis),
                paired=True,
                vectorized=True,
                confidence_level=confidence,
                n_resamples=NUM_RESAMPLES,
                method=method,
                rng=np.random.default_rng(RESAMPLES_SEED),
            )
        low, high = result.confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            return min(float(low), t_low), max(float(high), t_high)
    raise AssertionError(f"the percentile bootstrap of finite values is finite: {first_N - second_N}")


def t_interval(values_N: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """mean -+ t_{N-1} sd / sqrt(N), for N of at least 2."""
    half = stats.t.ppf(0.5 + confidence / 2, len(values_N) - 1) * values_N.std(ddof=1) / math.sqrt(len(values_N))
    return float(values_N.mean() - half), float(values_N.mean() + half)


def sign_flip_p(difference_N: np.ndarray) -> float:
    """Share of the 2^N ways of flipping signs whose mean is at least as far from zero: exact up to N = 13, and never below
    2 / 2^N, so that fewer than 6 seeds cannot reach .05 by this test, whatever they say."""
    result = stats.permutation_test(
        (difference_N,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=NUM_RESAMPLES,
        rng=np.random.default_rng(RESAMPLES_SEED),
    )
    return float(result.pvalue)


def seeds_needed(value: float, sd: float, power: float = 0.8) -> int | None:
    """Smallest n of at least MIN_SEEDS with |value| sqrt(n) / sd >= t_{.975, n-1} + t_{power, n-1}: the paired t-test's sample
    size, where mean and spread of the differences are as measured. None beyond MAX_SEEDS."""
    if value == 0:
        return None
    for n in range(MIN_SEEDS, MAX_SEEDS + 1):
        if abs(value) * math.sqrt(n) / sd >= stats.t.ppf(0.975, n - 1) + stats.t.ppf(power, n - 1):
            return n
    return None


def by_seed(values: Mapping[Any, float], other: Mapping[Any, float]) -> tuple[list[float], list[float]]:
    """Pairs `values` and `other`, both keyed by (seed, settings of the other axes), and averages them within each seed.

    What only one of them has is left out on both sides. Where a seed lacks a setting that others have, that setting's own
    level is not to look like the seed's luck: means over seeds are taken out of each setting first, and their mean over
    settings is put back. Returns two lists with a value for each seed, in its order.
    """
    common = sorted(values.keys() & other.keys(), key=repr)
    if not common:
        return [], []
    seeds, settings = (list(dict.fromkeys(key[place] for key in common)) for place in (0, 1))
    pair = {key: np.array([values[key], other[key]]) for key in common}
    level = {s: np.mean([pair[key] for key in common if key[1] == s], axis=0) for s in settings}
    whole = np.mean(list(level.values()), axis=0)
    means = [whole + np.mean([pair[key] - level[key[1]] for key in common if key[0] == seed], axis=0) for seed in seeds]
    return [float(mean[0]) for mean in means], [float(mean[1]) for mean in means]
