import numpy as np
import pytest

from rlx.supervised.flips_found import f1_of_kept, histogram, prior_f1, ranking

FLIPPED = np.array([True, True, False, False, False])
TRUST = np.array([0.1, 0.6, 0.5, 0.7, 0.9])


def test_the_auc_is_the_share_of_pairs_of_labels_in_the_right_order():
    # Of 3 x 2 (right, flipped) pairs of labels only (.5, .6) is in the wrong order.
    found = ranking(TRUST, FLIPPED)
    assert found["auc"] == pytest.approx(5 / 6)
    # Kept are .9, .7, .6: 2 of 3 right ones, and 2 of the 3 kept are right.
    assert found["f1_at_count"] == pytest.approx(2 / 3)


def test_the_curve_runs_from_nothing_kept_to_all_kept():
    false, true = ranking(TRUST, FLIPPED)["roc"]
    assert (false[0], false[-1], true[-1]) == (0, 1, 1) and true == sorted(true)
    # At a threshold between .6 and .5 one of two flipped labels is kept, and two of three right ones; then .5 is kept as well.
    assert true[false.index(0.5)] in (pytest.approx(2 / 3), pytest.approx(1))


def test_f1_of_weights_and_of_the_prior():
    # 4 kept, 3 of them right, all 3 right ones kept: 2 x 3 / (4 + 3)
    assert f1_of_kept(TRUST, FLIPPED) == pytest.approx(6 / 7)
    # 2 (1 - p) / (2 - p): .857 at 25 %, .667 at 50 %
    assert prior_f1(np.repeat([True, False], [1, 3])) == pytest.approx(6 / 7)
    assert prior_f1(np.repeat([True, False], [1, 1])) == pytest.approx(2 / 3)


def test_every_pair_is_in_one_bin():
    found = histogram(np.array([0.0, 0.05, 0.999, 1.0, 0.5]), FLIPPED, bins=10)
    assert sum(found["right"]) == 3 and sum(found["flipped"]) == 2
    assert found["flipped"][0] == 2 and found["right"][-1] == 2 and found["edges"][:2] == [0, 0.1]
