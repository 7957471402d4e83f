import math

import numpy as np
import pytest

from rlx.comparison.goodhart import Fit, fit, gain, peak

DISTANCES = np.linspace(0, 4, 17)


def alike(kind, d, gold) -> Fit | None:
    return fit(kind, d, gold, np.ones(len(d)))


def found(*arguments) -> Fit:
    result = alike(*arguments)
    assert result is not None
    return result


def test_best_of_n_gives_back_what_the_curve_was_made_of_and_its_peak():
    """a = 1.2, b = .3: d* = 1.2 / .6 = 2, R* = 1.44 / 1.2 = 1.2."""
    curve = found("bon", DISTANCES, gain("bon", DISTANCES, 1.2, 0.3))
    assert (curve.a, curve.b) == pytest.approx((1.2, 0.3)) and curve.error == pytest.approx(0, abs=1e-12)
    assert curve.peak == pytest.approx((2.0, 1.2)) and curve.num == 16 and curve.furthest == 4.0


def test_rl_gives_back_what_the_curve_was_made_of_and_its_peak():
    """a = 1, b = .5: d* = exp(1/.5 - 1) = e, R* = e / 2. Of the distances 0, .25, .5, ... those below .3 are left out."""
    curve = found("rl", DISTANCES, gain("rl", DISTANCES, 1.0, 0.5))
    assert (curve.a, curve.b) == pytest.approx((1.0, 0.5)) and curve.num == 15
    assert curve.peak == pytest.approx((math.e, math.e / 2))


@pytest.mark.parametrize("kind", ["bon", "rl"])
def test_the_peak_is_where_the_curve_is_highest(kind):
    at = peak(kind, 0.9, 0.4)
    assert at is not None
    d = np.linspace(1e-3, 10, 100001)
    values = gain(kind, d, 0.9, 0.4)
    assert (d[values.argmax()], values.max()) == pytest.approx(at, rel=1e-3)


@pytest.mark.parametrize("kind", ["bon", "rl"])
def test_the_start_gains_nothing(kind):
    assert gain(kind, np.array([0.0]), 1.7, 0.3) == 0.0


def test_noise_moves_the_numbers_by_as_little_as_least_squares_allows():
    noise = np.random.default_rng(0).normal(0, 0.05, 17)
    curve = found("rl", DISTANCES, gain("rl", DISTANCES, 1.0, 0.5) + noise)
    assert (curve.a, curve.b) == pytest.approx((1.0, 0.5), abs=0.06) and curve.error == pytest.approx(0.05, rel=0.4)


def test_a_curve_without_a_highest_point_has_no_peak():
    assert peak("bon", 1.0, 0.0) is None and peak("bon", 1.0, -0.1) is None and peak("bon", -1.0, 0.1) is None
    assert peak("rl", 1.0, -0.1) is None and peak("rl", 1.0, 1e-3) is None


def test_too_few_points_or_one_distance_only_are_not_fitted():
    assert alike("bon", np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.5])) is None
    assert alike("rl", np.array([0.1, 0.2, 1.0, 2.0]), np.ones(4)) is None
    assert alike("bon", np.array([1.0, 1.0, 2.0, 2.0]), np.ones(4)) is None
    assert alike("bon", np.array([np.nan, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, np.nan, 1.0])) is None


def test_a_curve_of_weight_two_counts_as_two_curves():
    d = np.linspace(0.5, 4, 8)
    one, other = gain("rl", d, 1.0, 0.5), gain("rl", d, 0.8, 0.3)
    twice = found("rl", np.tile(d, 3), np.concatenate([one, one, other]))
    weighted = fit("rl", np.tile(d, 2), np.concatenate([one, other]), np.repeat([2.0, 1.0], 8))
    assert weighted is not None
    assert (weighted.a, weighted.b, weighted.error) == pytest.approx((twice.a, twice.b, twice.error))
