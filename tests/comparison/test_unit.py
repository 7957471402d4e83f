import numpy as np
import pytest

from rlx.comparison.unit import by_run, units_of


def test_one_data_seed_makes_run_seeds_the_units():
    found = units_of({(0, 7): 1.0, (1, 7): 2.0, (2, 7): 6.0})
    assert (found.kind, found.num, found.runs, found.value) == ("run seed", 3, 3, 3.0)
    assert found.between is None and found.within == pytest.approx(np.std([1, 2, 6], ddof=1))


def test_several_data_seeds_are_the_units_and_weigh_alike_however_many_runs_they_have():
    """Means 1 and 4; within^2 = (1 + 1) / 1; between^2 = 4.5 - 2 (1/2 + 1) / 2 = 3."""
    found = units_of({(0, 0): 0.0, (1, 0): 2.0, (0, 1): 4.0})
    assert (found.kind, found.values_U.tolist(), found.runs, found.value) == ("data seed", [1.0, 4.0], 3, 2.5)
    assert found.within == pytest.approx(2**0.5) and found.between == pytest.approx(3**0.5)


def test_one_run_of_each_data_seed_does_not_tell_data_from_training():
    found = units_of({(0, 0): 1.0, (1, 1): 2.0, (2, 2): 6.0})
    assert found.kind == "data seed" and found.between is None and found.within is None


def test_components_are_unbiased_on_an_unbalanced_grid():
    """Variances 1 and .25; data seeds with 3, 2, 1 and 3 runs. 4,000 trials; `between` is cut off at 0, seldom here."""
    rng = np.random.default_rng(0)
    keys = [(s, d) for d, runs in enumerate((3, 2, 1, 3)) for s in range(runs)]
    squares = []
    for _ in range(4000):
        data = rng.normal(size=4)
        found = units_of({key: data[key[1]] + 0.5 * rng.normal() for key in keys})
        assert found.between is not None and found.within is not None
        squares.append((found.between**2, found.within**2))
    assert np.mean(squares, axis=0) == pytest.approx([1.0, 0.25], rel=0.06)


def test_settings_are_averaged_within_a_run():
    assert by_run({((0, 0), "soup"): 1.0, ((0, 0), "frozen"): 2.0, ((1, 0), "soup"): 4.0, ((1, 0), "frozen"): 5.0}) == {
        (0, 0): pytest.approx(1.5),
        (1, 0): pytest.approx(4.5),
    }


def test_a_setting_that_a_run_lacks_does_not_look_like_its_luck():
    """The difference is 3 with soup and 1 with frozen in every run, plus luck 0, 10, 20; run 1 has no frozen."""
    one = {((0, 0), "soup"): 3.0, ((0, 0), "frozen"): 1.0, ((1, 0), "soup"): 13.0}
    one |= {((2, 0), "soup"): 23.0, ((2, 0), "frozen"): 21.0}
    assert by_run(one) == {(0, 0): pytest.approx(2.0), (1, 0): pytest.approx(12.0), (2, 0): pytest.approx(22.0)}


def test_runs_of_one_data_seed_share_their_luck_where_settings_are_told_apart():
    """Run (1, 0) has soup alone and (0, 0) frozen alone, but both are of data seed 0, and data seed 1 has all."""
    one = {((0, 0), "frozen"): 1.0, ((1, 0), "soup"): 3.0}
    one |= {((s, 1), kind): 10.0 + (2.0 if kind == "soup" else 0.0) for s in (0, 1) for kind in ("soup", "frozen")}
    assert list(by_run(one).values()) == pytest.approx([2.0, 2.0, 11.0, 11.0])


def test_settings_that_no_chain_of_cells_links_count_as_luck():
    assert by_run({((0, 0), "soup"): 3.0, ((1, 0), "frozen"): 1.0}) == {(0, 0): 3.0, (1, 0): 1.0}
