"""Is one choice better than another? Paired differences, their interval, and how many seeds would tell.

Pairs are cells that share seed, data seed and the other settings. Their differences are averaged over settings and then
within what was drawn independently (`rlx.comparison.unit`): the data seed, or the run seed where there is one data seed.
The interval is Student's t over those units, exact for normal ones at any number of them. (A bootstrap of three values
never leaves their range and holds about 75 % in place of 95 %; the wider of both holds more than it says.)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from rlx.comparison.unit import Run, Units, by_run, units_of
from rlx.metric.interval import mean_interval

RESAMPLES_SEED = 20260101  # the resampling's own; an interval must not depend on a run's seed
NUM_RESAMPLES = 9999
MAX_SEEDS = 1000
MIN_SEEDS = 3  # two say what they say only if differences are exactly normal


@dataclass(frozen=True)
class Difference:
    """Mean of `first - second` over `units`, with 95 % bounds (None for one unit, or where units make no difference)."""

    low: float | None
    high: float | None
    p: float | None  # exact sign-flip permutation test, two-sided
    needed: int | None  # units that would tell such a difference from none; None beyond MAX_SEEDS or where unknown
    units: Units

    @property
    def value(self) -> float:
        return self.units.value

    @property
    def num(self) -> int:
        """Units, which the interval counts."""
        return self.units.num

    @property
    def distinguishable(self) -> bool:
        """Whether the interval excludes zero, over at least MIN_SEEDS units."""
        return (
            self.num >= MIN_SEEDS and self.low is not None and self.high is not None and not self.low <= 0 <= self.high
        )


def paired_difference(first: Mapping[tuple[Run, Any], float], second: Mapping[tuple[Run, Any], float]) -> Difference:
    """Compare two mappings from (run, settings of the other axes) to one measure, on the keys that both have.

    Differences that are alike in all units to the last bit say that the seed did not enter: they have no interval. Raises
    ValueError where no key is in both.
    """
    pairs = {key: first[key] - second[key] for key in sorted(first.keys() & second.keys(), key=repr)}
    if not pairs:
        raise ValueError("no cell of the first has its like in the second")
    return difference_of(units_of(by_run(pairs)))


def difference_of(units: Units) -> Difference:
    """What `units` of paired differences say."""
    if units.alike:
        return Difference(None, None, None, None, units)
    low, high = mean_interval(units.values_U)
    return Difference(low, high, sign_flip_p(units.values_U), seeds_needed(units.value, units.sd), units)


def sign_flip_p(difference_N: np.ndarray) -> float:
    """Share of the 2^N ways of flipping signs whose mean is at least as far from zero: exact up to N = 13, and never below
    2 / 2^N, so that fewer than 6 units cannot reach .05 by this test, whatever they say."""
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
