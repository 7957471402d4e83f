import numpy as np
import pytest

from rlx.metric.win_rate import interval, measure, outcomes
from tests.metric.enumerable import evaluation


def test_a_tie_counts_half():
    assert outcomes(np.array([2.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0])).tolist() == [1.0, 0.5, 0.0]


def test_float_noise_is_a_tie():
    start = np.array([-0.2828767, 3.5, 0.0])
    assert outcomes(start * (1 + 2e-8) + 1e-9, start).tolist() == [0.5, 0.5, 0.5]
    assert outcomes(start + 1e-4, start).tolist() == [1.0, 1.0, 1.0]


def test_the_win_rate_is_the_mean_outcome_inside_its_interval():
    # draws 0 1 2 1 against 0 1 0 1: tie, tie, win, tie = 2.5 / 4
    metrics = measure(evaluation(np.array([0, 1, 2, 1])))
    assert metrics["gold/win_rate"] == 0.625
    assert 0 <= metrics["gold/win_rate_low"] < 0.625 < metrics["gold/win_rate_high"] <= 1


def test_winning_every_time_is_not_certainty():
    # Clopper-Pearson for 20 of 20: 0.025 ** (1/20) = 0.8316
    assert interval(np.ones(20)) == (pytest.approx(0.8316, abs=1e-4), 1.0)
    assert interval(np.zeros(20)) == (0.0, pytest.approx(0.1684, abs=1e-4))


def test_the_start_against_itself_is_even_and_not_certain():
    low, high = interval(np.full(20, 0.5))
    assert (low, high) == (pytest.approx(0.4158, abs=1e-4), pytest.approx(0.5842, abs=1e-4))


def test_a_single_prompt_says_next_to_nothing():
    assert interval(np.ones(1)) == (pytest.approx(0.025), 1.0)


@pytest.mark.parametrize("num", [8, 16, 32, 128])
@pytest.mark.parametrize("p, ties", [(0.5, 0.0), (0.7, 0.0), (0.5, 0.6), (0.8, 0.2)])
def test_the_interval_holds_the_true_win_rate_in_95_of_100(num, p, ties):
    rng = np.random.default_rng(3)
    u, won = rng.random((2000, num)), rng.random((2000, num)) < p
    rows = np.where(u < ties, 0.5, won.astype(float))
    bounds = np.array([interval(row) for row in rows])
    truth = ties / 2 + (1 - ties) * p
    missed = np.mean((bounds[:, 0] > truth + 1e-12) | (bounds[:, 1] < truth - 1e-12))
    assert missed < 0.075  # outcomes are discrete: at 8 prompts no interval misses exactly 5


def test_the_bounds_stay_within_zero_and_one():
    for row in ([1.0] * 199 + [0.0], [0.0] * 7 + [0.5], [0.5] * 30 + [1.0]):
        low, high = interval(np.array(row))
        assert 0 <= low < np.mean(row) < high <= 1
