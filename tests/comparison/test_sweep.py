import dataclasses
import json

import numpy as np
import pytest

from rlx.comparison.curve import curve_of, mean_curve
from rlx.comparison.sweep import GOLD, SweepComparison
from rlx.run.sweep_record import load_sweep, named
from tests.synthetic_sweep import write_sweep

AXES = {"reward": ["single", "warm"], "reference": ["frozen", "soup"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return SweepComparison(load_sweep(write_sweep(tmp_path_factory.mktemp("runs"), AXES)))


def test_axes_and_their_values_are_in_the_order_in_which_they_were_typed(whole):
    assert whole.sweep.axes == {"reward": ["single", "warm"], "reference": ["frozen", "soup"]}
    assert whole.sweep.labels == ["single · frozen", "single · soup", "warm · frozen", "warm · soup"]


def test_a_number_is_named_with_its_setting_and_a_choice_by_itself():
    assert [named("reward", "warm"), named("regularizer.beta", "0.1"), named("optimizer.distill", "true")] == [
        "warm",
        "beta=0.1",
        "distill=true",
    ]
    assert named("reward", "") == "reward=(default)"


def test_a_difference_is_of_the_same_seeds_averaged_over_the_other_axis(whole):
    gold = {(c.axes["reward"], c.axes["reference"], c.seed): c.metrics[GOLD] for c in whole.sweep.cells}
    by_seed = [np.mean([gold["warm", r, s] - gold["single", r, s] for r in ("frozen", "soup")]) for s in (0, 1, 2)]
    (found,) = (one for one in whole.differences if one.axis == "reward" and one.measure == GOLD)
    assert (found.first, found.second, found.settings) == ("warm", "single", 2)
    assert found.difference.num == 3 and found.difference.value == pytest.approx(np.mean(by_seed))
    assert found.difference.units.sd == pytest.approx(np.std(by_seed, ddof=1))


def test_a_cell_that_failed_takes_its_pair_with_it_and_nothing_else(tmp_path):
    """Seed 1 of single/frozen failed: seed 1 of reward is then compared with soup alone."""
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, AXES, failed=[1])))
    gold = {(c.axes["reward"], c.axes["reference"], c.seed): c.metrics[GOLD] for c in comparison.sweep.done}
    assert len(gold) == 11
    (found,) = (one for one in comparison.differences if one.axis == "reward" and one.measure == GOLD)
    soup, frozen = (
        {seed: gold["warm", r, seed] - gold["single", r, seed] for seed in seeds}
        for r, seeds in (("soup", (0, 1, 2)), ("frozen", (0, 2)))
    )
    gap = np.mean([frozen[seed] - soup[seed] for seed in (0, 2)])  # least squares: from the seeds that have both
    wanted = [(soup[0] + frozen[0]) / 2, soup[1] + gap / 2, (soup[2] + frozen[2]) / 2]
    assert found.difference.units.values_U == pytest.approx(np.array(wanted))
    assert comparison.means["single · frozen"][GOLD].units.num == 2


def test_one_seed_gives_means_without_bounds_and_differences_without_claims(tmp_path):
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, AXES, seeds=[4])))
    assert comparison.means["warm · soup"][GOLD].low is None
    assert not any(one.difference.distinguishable for one in comparison.differences)


def test_a_sweep_over_seeds_alone_has_one_combination_and_no_differences(tmp_path):
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, {})))
    assert comparison.sweep.labels == ["all"] and comparison.differences == []
    assert comparison.means["all"][GOLD].units.num == 3


def test_a_run_that_was_cut_off_does_not_cut_off_the_mean_of_those_that_are_done(tmp_path):
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, {"reward": ["single", "warm"]}, unfinished=[0])))
    assert len(comparison.curves["single"]) == 2
    assert list(comparison.mean_curves["single"].steps_S) == list(range(0, 81, 10))


def test_fits_take_the_evaluations_of_all_seeds_of_training_and_of_best_of_n(tmp_path):
    """Made without own noise from a = .9, b = .62 for training, and 1.1 x .9, .5 x .62 for best-of-n."""
    axes = {"optimizer": ["ppo", "bon"]}
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, axes, noise=0.0)))
    bon, ppo = comparison.fits["bon"], comparison.fits["ppo"]
    assert (bon.kind, ppo.kind) == ("bon", "rl")
    assert (bon.a, bon.b) == pytest.approx((0.99, 0.31)) and bon.num == 3 * 8
    assert ppo.a / ppo.b == pytest.approx(0.9 / 0.62, rel=0.05) and ppo.num == 3 * 8


def test_a_curve_knows_how_far_gold_fell_from_its_peak(whole):
    curve = curve_of(whole.sweep.of("single · frozen")[0].run)
    assert curve is not None and curve.from_start and curve.fall == pytest.approx(curve.gold_S.max() - curve.gold_S[-1])


def test_the_mean_over_seeds_is_taken_at_the_steps_that_all_have(whole):
    one, two, _ = whole.curves["warm · soup"]
    kept = dataclasses.replace(
        two, **{f"{n}_S": getattr(two, f"{n}_S")[:4] for n in ("steps", "distance", "gold", "proxy")}
    )
    mean = mean_curve([one, kept])
    assert list(mean.steps_S) == [0, 10, 20, 30]
    assert np.allclose(mean.gold_S, (one.gold_S[:4] + two.gold_S[:4]) / 2)


def test_data_seeds_weigh_alike_in_mean_curves_and_fits_however_many_runs_they_have(tmp_path):
    """Data seed 1 has one run, data seed 0 two: the mean curve is half of the one and a quarter of each of the others."""
    sweep = load_sweep(write_sweep(tmp_path, {}))
    cells = [dataclasses.replace(cell, data_seed=int(cell.seed == 2)) for cell in sweep.cells]
    comparison = SweepComparison(dataclasses.replace(sweep, cells=cells))
    one, two, three = comparison.curves["all"]
    gold = comparison.mean_curves["all"].gold_S
    assert np.allclose(gold, one.gold_S / 4 + two.gold_S / 4 + three.gold_S / 2)
    doubled = SweepComparison(
        dataclasses.replace(sweep, cells=[*cells, dataclasses.replace(cells[2], name="again", seed=3)])
    )
    assert doubled.fits["all"].b == pytest.approx(comparison.fits["all"].b)
    assert comparison.means["all"][GOLD].units.num == 2


def test_runs_of_a_pair_meet_on_their_common_prompts(tmp_path):
    """WARM wins 3 prompts of 4 in seed 0; 1 in seed 1, with 2 ties; all in seed 2."""
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, {"reward": ["single", "warm"]}, seeds=[0, 1, 2])))
    golds = {0: [2.0, 2.0, 2.0, 0.0], 1: [2.0, 1.0, 1.0, 0.0], 2: [2.0, 2.0, 2.0, 2.0]}
    for cell in comparison.sweep.cells:
        gold = golds[cell.seed] if cell.axes["reward"] == "warm" else [1.0] * 4
        rows = [
            {"step": 80, "prompt_id": str(i), "prompt": f"p{i}", "completion": "a b", "gold": value}
            for i, value in enumerate(gold)
        ]
        assert cell.run
        path = cell.run.path / "final_samples.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = comparison.wins["reward", "warm", "single"]
    assert sorted(found.units.values_U) == [0.5, 0.75, 1.0] and found.value == pytest.approx(0.75)
    assert found.high == 1.0 and found.low == pytest.approx(0.75 - 4.3027 * 0.25 / 3**0.5, abs=1e-4)


def test_runs_that_kept_no_samples_do_not_meet(tmp_path):
    comparison = SweepComparison(load_sweep(write_sweep(tmp_path, {"reward": ["single", "warm"]}, seeds=[0, 1])))
    assert comparison.wins == {}
