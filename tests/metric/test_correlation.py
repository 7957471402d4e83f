import numpy as np
import pytest

from rlx.metric.correlation import measure, pearson
from tests.metric.enumerable import evaluation


def test_a_proxy_that_ranks_against_gold_is_negative():
    assert pearson(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)


def test_scale_and_shift_do_not_matter():
    assert measure(evaluation(np.array([0, 1, 2])))["proxy/gold_correlation"] == pytest.approx(1.0)


def test_what_does_not_vary_has_no_correlation():
    assert measure(evaluation(np.array([1, 1]))) == {}
