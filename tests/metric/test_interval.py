import numpy as np
import pytest

from rlx.metric.interval import mean_interval


def test_the_interval_of_a_normal_sample_is_close_to_the_textbook_s():
    values = np.random.default_rng(1).normal(size=400)
    half = 1.96 * values.std(ddof=1) / 20
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_the_interval_is_the_same_each_time():
    values = np.arange(10.0)
    assert mean_interval(values) == mean_interval(values)


def test_ninety_five_percent_of_intervals_hold_the_true_mean():
    rng = np.random.default_rng(2)
    held = [low <= 0.7 <= high for low, high in (mean_interval(rng.random(60) < 0.7) for _ in range(150))]
    assert 0.90 <= np.mean(held) <= 0.99  # 150 trials: sd of the share is .018


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(np.array([1.0]))


def test_values_that_nearly_all_agree_still_have_a_finite_interval():
    low, high = mean_interval(np.array([0.0] * 199 + [1.0]))
    assert 0 <= low < 0.005 < high < 0.05
