"""Length control on data whose truth is known: gains that are all length, gains that are none of it, and no data at all."""

import numpy as np
import pytest
from scipy import special

from rlx.metric.length_control import controlled_gain, controlled_win_rate, firth, measure
from rlx.metric.win_rate import interval
from tests.metric.enumerable import evaluation

TRIALS = 600  # standard error of a coverage of 95 %: .9 %


def lengths(rng: np.random.Generator, num: int, longer_by: float = 6.0) -> np.ndarray:
    """Differences in tokens, skewed, with spread 9."""
    return np.round(rng.normal(longer_by, 8, num) + rng.exponential(4, num) - 4)


@pytest.mark.parametrize("num", [32, 64, 256])
@pytest.mark.parametrize(("slope", "gain"), [(0.08, 0.0), (0.0, 0.4), (-0.05, 0.2)])
def test_the_interval_of_gain_covers_the_gain_at_equal_length_in_95_percent_of_trials(num, slope, gain):
    rng = np.random.default_rng(num)
    covered = 0
    for _ in range(TRIALS):
        d = lengths(rng, num)
        noise = rng.normal(0, 1, num) * (0.5 + 0.05 * np.abs(d))  # the spread grows with the difference
        low, high = controlled_gain(slope * d + gain + noise, d)[1:]
        covered += low <= gain <= high
    assert 0.93 <= covered / TRIALS <= 0.975


@pytest.mark.parametrize("num", [32, 64, 256])
@pytest.mark.parametrize(("slope", "odds"), [(1.5, 0.0), (0.0, 0.6)])
def test_the_interval_of_the_win_rate_covers_that_at_equal_length_at_least_as_often(num, slope, odds):
    rng = np.random.default_rng(num)
    covered = 0
    for _ in range(TRIALS):
        d = lengths(rng, num, longer_by=2.0)
        p = special.expit(odds + slope * np.tanh(d / np.sqrt(80)))
        won = (rng.random(num) < p).astype(float)
        low, high = controlled_win_rate(won, d)[1:]
        covered += low <= special.expit(odds) <= high
    assert 0.93 <= covered / TRIALS <= 0.99


def test_a_gain_that_is_all_length_vanishes_and_one_that_is_none_remains():
    rng = np.random.default_rng(0)
    d, noise = lengths(rng, 4000), rng.normal(0, 1, 4000)
    bought, earned = 0.08 * d + noise, 0.5 + noise
    assert bought.mean() > 0.4
    assert controlled_gain(bought, d)[0] == pytest.approx(0, abs=0.05)
    assert controlled_gain(earned, d)[0] == pytest.approx(earned.mean(), abs=0.05)
    by_length = (rng.random(4000) < special.expit(2 * np.tanh(d / d.std()))).astype(float)
    by_merit = (rng.random(4000) < 0.7).astype(float)
    assert by_length.mean() > 0.63
    assert controlled_win_rate(by_length, d)[0] == pytest.approx(0.5, abs=0.04)
    assert controlled_win_rate(by_merit, d)[0] == pytest.approx(by_merit.mean(), abs=0.03)


def test_the_gain_is_the_intercept_of_least_squares():
    d, gain = np.array([-1.0, 0.0, 1.0, 4.0]), np.array([0.0, 1.0, 0.5, 3.0])
    assert controlled_gain(gain, d)[0] == pytest.approx(np.polyfit(d, gain, 1)[1])


def test_firths_coefficient_of_the_intercept_alone_adds_half_a_win_and_half_a_loss():
    y = np.array([1.0] * 9 + [0.0])
    assert firth(np.ones((10, 1)), y)[0] == pytest.approx(np.log(9.5 / 1.5), abs=1e-4)


@pytest.mark.parametrize("num", [8, 32, 256])
def test_wins_that_length_separates_from_losses_give_a_finite_rate_that_is_not_certain(num):
    d = np.concatenate([np.arange(1, num // 2 + 1), -np.arange(1, num // 2 + 1)]).astype(float)
    value, low, high = controlled_win_rate((d > 0).astype(float), d)
    assert value == pytest.approx(0.5, abs=1e-3)
    assert 0 < low < 0.42 and 0.58 < high < 1


def test_a_win_on_every_prompt_stays_what_it_was_whatever_the_lengths():
    assert controlled_win_rate(np.ones(20), np.arange(20.0)) == (1.0, *interval(np.ones(20)))


def test_equal_lengths_leave_both_numbers_as_they_were():
    rng = np.random.default_rng(1)
    gain, won = rng.normal(0.3, 1, 32), rng.integers(0, 2, 32).astype(float)
    assert controlled_gain(gain, np.zeros(32))[0] == gain.mean()
    assert controlled_win_rate(won, np.zeros(32)) == (won.mean(), *interval(won))


def test_one_length_more_on_every_prompt_cannot_be_told_from_everything_else():
    gain = np.arange(32.0)
    assert controlled_gain(gain, np.full(32, 5.0)) is None
    assert controlled_win_rate(gain % 2, np.full(32, 5.0)) is None


def test_one_prompt_of_another_length_decides_its_own_fit_and_nothing_else():
    gain, d = np.append(np.sin(np.arange(31)), 9.0), np.append(np.zeros(31), 7.0)
    value, low, high = controlled_gain(gain, d)
    assert value == pytest.approx(gain[:31].mean())
    assert high - low < 1


def test_lengths_are_counted_in_tokens_against_the_start():
    draws = np.array([0, 1, 2, 1, 0, 1, 2, 1])  # 1, 2, 2, 2 tokens twice
    metrics = measure(evaluation(draws, start_lengths_B=np.array([1, 1, 2, 3, 1, 1, 2, 1])))
    assert metrics["completions/longer_by"] == pytest.approx(2 / 8)
    assert metrics["completions/longer_rate"] == pytest.approx((3 + 4 / 2) / 8)  # longer 3 times, shorter once, equal 4
    for name in ("gold/win_rate_length_controlled", "gold/score_sd_units_length_controlled"):
        assert metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"]


def test_a_few_prompts_or_a_start_without_spread_leave_out_what_they_cannot_bear():
    few = measure(evaluation(np.array([0, 1, 2, 1])))
    assert few.keys() == {"completions/longer_by", "completions/longer_rate"}
    flat = measure(evaluation(np.array([0, 1, 2, 1] * 2), start_gold_B=np.zeros(8)))
    assert "gold/win_rate_length_controlled" in flat and "gold/score_sd_units_length_controlled" not in flat
