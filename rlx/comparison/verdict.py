"""What a difference over independent units says about a claim: holds, reversed, equivalent or not distinguishable.

Two tests, each at 5 %: Student's paired t of the mean against 0, and two one-sided t tests of it against -delta and +delta
(Schuirmann 1987, doi 10.1007/BF01068419), where delta is the smallest effect of interest. Both may pass: a difference that is
surely there and surely too small to matter is called equivalent. Over a family of claims the p values of each test are
adjusted by Holm's method (1979), which bounds the chance of a single wrong verdict among all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from rlx.comparison.paired import MIN_SEEDS, seeds_needed
from rlx.metric.interval import mean_interval

LEVEL = 0.05
Expect = Literal["more", "less", "same"]
Word = Literal["holds", "reversed", "equivalent", "not distinguishable", "not testable here", "too few runs"]


@dataclass(frozen=True)
class Verdict:
    """`value` with 95 % bounds, over `num` units. `p`: of no difference; `p_equal`: of a difference of at least delta.
    `needed`, where it is not distinguishable: units that would tell such a difference from none with a power of 80 %, None
    beyond 1,000. `why`: what stands in the way of a test, where something does."""

    word: Word
    value: float
    low: float | None
    high: float | None
    p: float | None
    p_equal: float | None
    needed: int | None
    num: int
    why: str = ""


def verdict(difference_U: np.ndarray, expect: Expect, smallest_effect: float) -> Verdict:
    """Judge the differences of U independent units. Fewer than three units, or units that are all alike, give no test."""
    num, value = len(difference_U), float(np.mean(difference_U)) if len(difference_U) else float("nan")
    if num < MIN_SEEDS:
        return Verdict("too few runs", value, None, None, None, None, None, num, f"{num} of {MIN_SEEDS} data seeds")
    if np.ptp(difference_U) <= 1e-12 * max(1.0, abs(value)):
        why = f"the difference is {value:g} for every data seed: the seeds do not enter"
        return Verdict("too few runs", value, None, None, None, None, None, num, why)
    low, high = mean_interval(difference_U)
    p = p_of(difference_U, 0.0, "two-sided")
    above = p_of(difference_U, -smallest_effect, "greater")
    below = p_of(difference_U, smallest_effect, "less")
    found = Verdict("not distinguishable", value, low, high, p, max(above, below), None, num)
    if (word := worded(found, expect, p, max(above, below))) != "not distinguishable":
        return replace(found, word=word)
    return replace(found, needed=seeds_needed(value, float(np.std(difference_U, ddof=1))))


def p_of(values_U: np.ndarray, mean: float, alternative: Literal["two-sided", "greater", "less"]) -> float:
    """Student's t test of the values' mean against `mean`."""
    _, p = stats.ttest_1samp(values_U, mean, alternative=alternative)
    return float(p)  # pyright: ignore[reportArgumentType]


def worded(found: Verdict, expect: Expect, p: float, p_equal: float) -> Word:
    """The word for these p values, adjusted or not."""
    if p_equal < LEVEL:
        return "holds" if expect == "same" else "equivalent"
    if p >= LEVEL:
        return "not distinguishable"
    return "holds" if expect != "same" and (found.value > 0) == (expect == "more") else "reversed"


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p values: with p_(1) <= ... <= p_(K), max over j <= i of min(1, (K - j + 1) p_(j))."""
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def in_family(verdicts: Mapping[str, Verdict], expect: Mapping[str, Expect]) -> dict[str, Word]:
    """Claim -> its word once each test's p values are adjusted for all claims that were tested."""
    tested = {name: one for name, one in verdicts.items() if one.p is not None and one.p_equal is not None}
    p, p_equal = (holm({name: float(getattr(one, key)) for name, one in tested.items()}) for key in ("p", "p_equal"))
    return {
        name: worded(one, expect[name], p[name], p_equal[name]) if name in tested and not one.why else one.word
        for name, one in verdicts.items()
    }
