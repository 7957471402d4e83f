"""Verdicts against numbers worked out by hand, and Holm's method against a published example."""

import numpy as np
import pytest
from scipy import stats

from rlx.comparison.verdict import LEVEL, holm, in_family, p_of, verdict


def around(mean: float, sd: float, num: int = 6) -> np.ndarray:
    """`num` values with exactly this mean and SD."""
    x = np.linspace(-1, 1, num)
    return mean + sd * x / x.std(ddof=1)


def test_t_of_the_mean_decides_whether_there_is_a_difference():
    found = verdict(around(0.3, 0.2), "more", 0.1)
    t = 0.3 / (0.2 / 6**0.5)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 5))
    half = stats.t.ppf(0.975, 5) * 0.2 / 6**0.5
    assert (found.low, found.high) == (pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    assert found.word == "holds" and found.num == 6
    assert verdict(-around(0.3, 0.2), "more", 0.1).word == "reversed"
    assert verdict(-around(0.3, 0.2), "less", 0.1).word == "holds"


def test_two_one_sided_tests_are_a_90_percent_interval_within_the_smallest_effect():
    for sd in (0.05, 0.2):
        values = around(0.02, sd)
        half = stats.t.ppf(0.95, 5) * sd / 6**0.5
        found = verdict(values, "more", 0.1)
        assert (found.p_equal < LEVEL) == (0.02 + half < 0.1) == (found.word == "equivalent")
    assert verdict(around(0.02, 0.05), "same", 0.1).word == "holds"


def test_a_sure_difference_that_is_too_small_to_matter_is_equivalent():
    found = verdict(around(0.05, 0.01), "more", 0.1)
    assert found.p < LEVEL and found.word == "equivalent"


def test_a_wide_interval_around_zero_says_nothing_and_how_many_would_tell():
    found = verdict(around(0.2, 0.5), "more", 0.1)
    assert found.word == "not distinguishable" and found.needed is not None and found.needed > 6
    assert verdict(around(0.5, 0.2), "same", 0.1).word == "reversed"


def test_too_few_seeds_or_seeds_without_effect_give_no_test():
    assert verdict(np.array([0.3, 0.4]), "more", 0.1).word == "too few runs"
    alike = verdict(np.array([0.3, 0.3, 0.3]), "more", 0.1)
    assert alike.word == "too few runs" and alike.p is None and "do not enter" in alike.why
    assert verdict(np.array([]), "more", 0.1).num == 0


def test_holm_adjusts_as_in_the_textbook():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == {k: pytest.approx(v) for k, v in {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}.items()}
    assert holm({"a": 0.9, "b": 0.8})["a"] == 1.0 and holm({}) == {}


def test_among_many_claims_a_weak_one_no_longer_holds_and_an_untested_one_keeps_its_word():
    verdicts = {f"c{i}": verdict(around(0.3, 0.33), "more", 0.01) for i in range(4)}
    verdicts["strong"] = verdict(around(0.3, 0.05), "more", 0.01)
    verdicts["few"] = verdict(np.array([0.3, 0.4]), "more", 0.1)
    alone = {name: one.word for name, one in verdicts.items()}
    among = in_family(verdicts, dict.fromkeys(verdicts, "more"))
    assert alone["c0"] == "not distinguishable" or alone["c0"] == "holds"
    assert among["strong"] == "holds" and among["few"] == "too few runs"
    weak = {"a": verdict(around(0.3, 0.25), "more", 0.01)}
    assert in_family(weak, {"a": "more"})["a"] == "holds"
    many = weak | {f"n{i}": verdict(around(0.01, 0.5), "more", 0.01) for i in range(9)}
    assert in_family(many, dict.fromkeys(many, "more"))["a"] == "not distinguishable"


def test_the_chance_of_a_wrong_difference_is_the_level():
    rng = np.random.default_rng(0)
    wrong = sum(p_of(rng.normal(0, 1, 6), 0.0, "two-sided") < LEVEL for _ in range(2000))
    assert 0.035 < wrong / 2000 < 0.065
