import numpy as np
import pytest

from rlx.core.error import UserError
from rlx.metric.factors import mean_factors, measure, spread_of_factors
from tests.metric.enumerable import evaluation


def test_a_factor_is_averaged_over_the_completions_that_have_it():
    assert mean_factors([{"topic": 1.0, "mood": 0.0}, {"topic": 0.5}]) == {"mood": 0.0, "topic": 0.75}


def test_spread_is_the_sample_deviation_and_needs_two():
    assert spread_of_factors([{"topic": 1.0, "mood": 0.0}, {"topic": 3.0}]) == {"topic": pytest.approx(2**0.5)}


def test_a_judge_that_cannot_say_gives_no_factors():
    assert measure(evaluation(np.array([0, 1]), gold_factors=[{}, {}])) == {}


def test_a_factor_that_would_overwrite_a_metric_is_refused_by_name():
    with pytest.raises(UserError, match="gold/win_rate"):
        measure(evaluation(np.array([0, 1]), gold_factors=[{"win_rate": 1.0}] * 2))
