import numpy as np
import pytest

from rlx.reporting.figure.style import signed, spread


def test_labels_that_have_room_stay_where_they_belong():
    assert spread(np.array([0.1, 0.5, 0.9]), 0.1).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_labels_that_collide_are_moved_apart_about_their_middle():
    assert spread(np.array([0.5, 0.5]), 0.2).tolist() == pytest.approx([0.4, 0.6])
    # .5 .5 .6: pooled with gap .2 about their mean .5333
    assert spread(np.array([0.5, 0.5, 0.6]), 0.2).tolist() == pytest.approx([1 / 3, 0.5333333, 0.7333333])


def test_moved_labels_never_come_closer_than_the_gap():
    places = spread(np.sort(np.random.default_rng(0).random(12)), 0.05)
    assert np.diff(places).min() >= 0.05 - 1e-12


def test_a_minus_is_as_wide_as_a_plus():
    assert (signed(0.5), signed(-0.5)) == ("+0.50", "−0.50")
