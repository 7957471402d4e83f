import numpy as np
import pytest

from rlx.tabular.synthetic import FACTORS, NUM_LEVELS, Synthetic, expected_level, feeling

SURVEY = Synthetic(num_rows=4000, num_test_rows=50, correlation=0.5, noise=1.0)


def test_feeling_is_the_equation():
    # tanh(0) + .7 + .45 (4 - 1) / sqrt(2) + .35 * -1 + 0 + .2 + .1 * 3
    x = np.array([[0.0, 1.0, 2.0, -1.0, 5.0, 1.0, 3.0, 9.0]])
    assert feeling(x)[0] == pytest.approx(0.7 + 1.35 / 2**0.5 - 0.35 + 0.2 + 0.3)


def test_the_expected_level_is_that_of_the_stated_levels():
    rng = np.random.default_rng(0)
    cuts, felt = SURVEY.cuts(), 0.4
    stated = 1 + (felt + rng.standard_normal(200_000)[:, None] > cuts).sum(1)
    # s.e. of the mean is 1.2 / sqrt(200,000) = .003
    assert expected_level(np.array([felt]), cuts, 1.0)[0] == pytest.approx(stated.mean(), abs=0.012)


def test_levels_are_equally_frequent_and_factors_are_correlated_as_asked():
    train, test = SURVEY.parts(0)
    frequencies = np.bincount(train.y_B.astype(int), minlength=NUM_LEVELS + 1)[1:] / 4000
    np.testing.assert_allclose(frequencies, 0.2, atol=0.03)
    assert np.corrcoef(train.x_BF[:, 0], train.x_BF[:, 1])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert np.corrcoef(train.x_BF[:, 0], train.x_BF[:, 2])[0, 1] == pytest.approx(0.25, abs=0.06)
    assert test.x_BF.shape == (50, len(FACTORS))


def test_a_seed_draws_other_people_of_the_same_population():
    (one, _), (other, _) = SURVEY.parts(0), SURVEY.parts(1)
    assert not np.array_equal(one.x_BF, other.x_BF)
    np.testing.assert_array_equal(one.x_BF, SURVEY.parts(0)[0].x_BF)


def test_the_true_importance_holds_what_the_equation_says():
    truth = dict(zip(FACTORS, SURVEY.truth, strict=True))
    assert sum(SURVEY.truth) == pytest.approx(1)
    assert truth["leisure"] == pytest.approx(0, abs=1e-12)  # it is not in the equation
    order = sorted(truth, key=lambda name: -truth[name])
    assert order[:2] == ["health", "income"] and order[-1] == "leisure"
    assert truth["family"] > truth["trust"] > truth["leisure"]
