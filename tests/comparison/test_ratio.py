"""The ratio of two means: Fieller's interval holds what it says, and refuses a denominator that may be 0."""

import numpy as np
import pytest

from rlx.comparison.ratio import ratio


def test_the_bounds_are_where_the_paired_difference_is_just_excluded():
    from scipy import stats

    rng = np.random.default_rng(0)
    x_U, y_U = rng.normal(2, 0.5, 7), rng.normal(3, 0.4, 7)
    found = ratio(x_U, y_U, "y")
    assert found.value == pytest.approx(x_U.mean() / y_U.mean())
    for bound in (found.low, found.high):
        assert stats.ttest_1samp(x_U - bound * y_U, 0).pvalue == pytest.approx(0.05)


def test_a_known_denominator_gives_students_interval():
    from rlx.metric.interval import mean_interval

    x_U = np.array([1.0, 2.0, 4.0, 3.5])
    found = ratio(x_U, np.full(4, 2.0), "y")
    assert (found.low, found.high) == pytest.approx([bound / 2 for bound in mean_interval(x_U)])


def test_95_of_100_intervals_hold_the_ratio_where_they_are_not_refused():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(3000):
        shared = rng.normal(0, 0.5, 6)
        found = ratio(1.5 + shared + rng.normal(0, 0.3, 6), 3 + shared + rng.normal(0, 0.3, 6), "y")
        held.append(found.low <= 0.5 <= found.high)
    assert 0.94 < np.mean(held) < 0.96


@pytest.mark.parametrize(
    ("denominator", "says"),
    [([0.5, -0.4, 0.3, -0.2], r"ceiling - base includes 0: \+0\.05 \["), ([1.0, 1.1], "2 of at least 3 data seeds")],
)
def test_it_is_refused_where_the_denominator_may_be_0_or_units_are_few(denominator, says):
    import re

    found = ratio(np.ones(len(denominator)), np.array(denominator), "ceiling - base")
    assert found.value is None is found.low and re.search(says, str(found.refused))
