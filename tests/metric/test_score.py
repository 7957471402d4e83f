import numpy as np
import pytest

from rlx.metric.score import measure, standardised
from tests.metric.enumerable import evaluation


def test_gold_is_standardised_by_the_start_policy_s_mean_and_deviation():
    # start 1, 3: mean 2, sd sqrt(2). gold 4, 6: mean 5. (5 - 2) / sqrt(2).
    assert standardised(np.array([4.0, 6.0]), np.array([1.0, 3.0])).mean() == pytest.approx(3 / 2**0.5)


def test_scores_are_means_and_sample_deviations():
    metrics = measure(evaluation(np.array([0, 1, 2, 1])))
    assert metrics["gold/score"] == 1.0
    assert metrics["proxy/score"] == 2.0
    assert metrics["gold/std"] == pytest.approx((2 / 3) ** 0.5)  # squares 1 0 1 0 over 3
    assert metrics["proxy/score_std"] == pytest.approx(2 * (2 / 3) ** 0.5)
    assert metrics["evaluation/num_prompts"] == 4
    # start gold 0 1 0 1: mean .5, sd sqrt(1/3)
    assert metrics["gold/score_sd_units"] == pytest.approx(0.5 / (1 / 3) ** 0.5)
    assert metrics["gold/score_sd_units_low"] < metrics["gold/score_sd_units"] < metrics["gold/score_sd_units_high"]


def test_the_start_itself_has_gained_nothing_with_certainty():
    gold = np.array([1.0, 2.0, 4.0])
    metrics = measure(evaluation(np.array([0, 1, 2]), gold_B=gold, start_gold_B=gold))
    keys = ("gold/score_sd_units", "gold/score_sd_units_low", "gold/score_sd_units_high")
    assert [metrics[key] for key in keys] == [0.0, 0.0, 0.0]


def test_a_start_without_spread_gives_no_standardised_score():
    assert "gold/score_sd_units" not in measure(evaluation(np.array([0, 1]), start_gold_B=np.array([3.0, 3.0])))
    assert "gold/std" not in measure(evaluation(np.array([1])))
