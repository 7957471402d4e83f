import numpy as np
import pytest

from rlx.comparison.paired import Difference, paired_difference, seeds_needed, sign_flip_p


def over_seeds(first, second) -> Difference:
    """One value for each run seed of one data seed."""
    return paired_difference(*({((seed, 0), ""): x for seed, x in enumerate(values)} for values in (first, second)))


def test_three_seeds_get_students_interval_which_a_bootstrap_cannot_reach():
    """Differences .1, .2, .3: mean .2, sd .1, t_{.975,2} = 4.302653, half = 4.302653 x .1 / sqrt 3 = .248414; every
    bootstrap mean lies within [.1, .3]. All signs agree: p = 2 / 2^3."""
    found = over_seeds([1.1, 2.2, 3.3], [1.0, 2.0, 3.0])
    assert found.value == pytest.approx(0.2) and found.units.sd == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((-0.048414, 0.448414), abs=1e-6)
    assert found.p == 0.25 and found.num == 3 and not found.distinguishable


def test_the_same_differences_over_more_seeds_are_told_from_none():
    """Thrice the same three: n = 9, sd = .1 x sqrt(6/8) = .0866, so the interval is about .2 -+ .067."""
    found = over_seeds([1.1, 2.2, 3.3] * 3, [1.0, 2.0, 3.0] * 3)
    assert found.distinguishable and found.low == pytest.approx(0.1334, abs=2e-3)
    assert found.p == pytest.approx(2 / 2**9)


def test_the_interval_is_of_the_difference_and_not_of_the_two_means():
    """Seeds differ by hundreds, the choice by about one: unpaired, nothing could be said."""
    seeds = np.array([0.0, 100.0, 500.0, -300.0, 250.0, 40.0])
    found = over_seeds(seeds + np.array([1.0, 1.2, 0.9, 1.1, 0.8, 1.0]), seeds)
    assert found.distinguishable and found.value == pytest.approx(1.0)


def test_one_seed_and_seeds_that_make_no_difference_give_no_interval():
    for first, second in (([1.0], [0.5]), ([1.0, 1.0, 1.0], [0.5, 0.5, 0.5])):
        found = over_seeds(first, second)
        assert found.value == 0.5 and found.low is None and found.p is None and not found.distinguishable


def test_two_seeds_make_no_claim_however_alike_they_are():
    found = over_seeds([1.0, 1.0001], [0.0, 0.0])
    assert found.low is not None and found.low > 0 and not found.distinguishable and found.needed == 3


def test_without_a_common_cell_there_is_no_difference():
    with pytest.raises(ValueError, match="no cell"):
        paired_difference({((0, 0), "soup"): 1.0}, {((1, 0), "soup"): 1.0})


def test_runs_of_one_data_seed_are_averaged_first_and_n_counts_data_seeds():
    """Data seeds 0, 1, 2 have 1, 2 and 3: half = 4.302653 x 1 / sqrt 3, whatever their runs add."""
    luck = {0: -0.1, 1: 0.0, 2: 0.1}
    first = {((s, d), ""): 1.0 + d + luck[s] for s in luck for d in range(3)}
    found = paired_difference(first, dict.fromkeys(first, 0.0))
    assert (found.num, found.units.kind, found.units.runs) == (3, "data seed", 9)
    assert (found.low, found.high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-5)


@pytest.mark.parametrize(
    ("value", "sd", "expected"),
    [
        (0.5, 1.0, 34),  # the textbook's number for a paired t-test, effect .5, power .8, two-sided .05
        (0.2, 0.1, 5),  # 2 sqrt 5 = 4.47 >= 2.776 + .941; 2 sqrt 4 = 4 < 3.182 + .978
        (-0.2, 0.1, 5),
        (0.0, 1.0, None),
        (0.001, 1.0, None),
    ],
)
def test_the_seeds_that_would_tell(value, sd, expected):
    assert seeds_needed(value, sd) == expected


def test_sign_flips_are_counted_exactly():
    """Of the 8 ways only +++ and --- reach |mean| = 2; with -1 in place of 1, ++- and its mirror have mean 4/3 and so do
    those that reach further: (1+2+3)/3 twice, (-1+2+3)/3 twice."""
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 0.25
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 0.5
