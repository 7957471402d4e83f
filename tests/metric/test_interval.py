import numpy as np
import pytest
from scipy import stats

from rlx.metric.interval import mean_interval


def test_the_interval_is_students():
    values = np.random.default_rng(1).normal(size=12)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("num", [5, 8, 16, 32, 256])
@pytest.mark.parametrize("draw, most", [("normal", 0.056), ("laplace", 0.056), ("standard_t", 0.056)])
def test_null_gains_are_called_changes_in_five_of_a_hundred_however_few_prompts_there_are(num, draw, most):
    rng = np.random.default_rng(2)
    shape = {"standard_t": (3,)}.get(draw, ())
    rows = getattr(rng, draw)(*shape, size=(2000, num))
    intervals = np.array([mean_interval(row) for row in rows])
    missed = np.mean((intervals[:, 0] > 0) | (intervals[:, 1] < 0))
    assert 0.02 < missed < most + 0.01  # 2,000 trials: sd of the share is .005


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(np.array([1.0]))


def test_values_that_are_all_alike_give_no_width():
    assert mean_interval(np.ones(5)) == (1.0, 1.0)
