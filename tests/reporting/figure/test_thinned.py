import numpy as np

from rlx.reporting.figure.thinned import MOST, thinned


def test_a_curve_of_few_points_is_drawn_whole():
    for length in (0, 1, MOST):
        assert list(thinned(np.zeros(length))) == list(range(length))


def test_a_long_curve_keeps_its_ends_and_every_extreme():
    values = np.random.default_rng(0).normal(size=50_000)
    values[1234], values[43_210] = 50.0, -50.0
    values[7:9] = np.nan
    kept = thinned(values)
    assert len(kept) <= MOST and list(kept) == sorted(set(kept))
    assert {0, 1234, 43_210, 49_999} <= set(kept)
    # However fine the parts are, each has its lowest and its highest value in the figure.
    for part in np.array_split(np.arange(50_000), 50):
        inside = np.intersect1d(part, kept)
        assert np.isfinite(values[inside]).all() and len(inside) >= 4


def test_a_stretch_without_numbers_is_no_error():
    assert len(thinned(np.full(10_000, np.nan))) <= MOST
