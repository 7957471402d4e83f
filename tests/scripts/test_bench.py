"""What `make bench` says of numbers, and that a later run is compared with an earlier one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import bench_ppo

ANCHOR = "trl-1.12-ppo"


def turns(anchor: list[float], own: list[float]):
    return {
        ANCHOR: [{"cpu": rate, "wall": rate / 2} for rate in anchor],
        "rlx-shared": [{"cpu": rate, "wall": rate / 4} for rate in own],
    }


def test_a_rate_is_that_of_the_median_rollout_by_each_clock():
    assert bench_ppo.rates([[1.0, 4.0], [2.0, 2.0], [32.0, 1.0]]) == {"cpu": 32.0, "wall": 32.0}  # 64 / 2


def test_ratios_are_taken_turn_by_turn():
    found = turns([10, 20, 40], [30, 40, 100])
    assert bench_ppo.ratios(found, "rlx-shared", "cpu") == [3.0, 2.0, 2.5]
    assert bench_ppo.ratios(found, "rlx-shared", "wall") == [1.5, 1.0, 1.25]


def test_a_later_run_is_set_beside_an_earlier_one_by_ratios_to_the_anchor():
    """Twice as fast a machine changes nothing: 2.0 was 2.5, which is .80 of it."""
    before, now = {"lab": turns([10], [25])}, turns([20, 20, 20], [40, 38, 50])
    head, anchor, own = bench_ppo.summary("lab", now, before)
    assert head.startswith("lab: samples/s") and anchor.split()[0] == ANCHOR
    assert "2.00 (1.90-2.50)" in own and own.endswith("was 2.50, now 0.80 of it")
    assert "was" not in bench_ppo.summary("equal", now, before)[2]


def test_a_side_that_an_earlier_run_did_not_time_is_not_compared():
    lines = bench_ppo.summary("lab", turns([10], [20]), {"lab": {ANCHOR: [{"cpu": 10, "wall": 5}]}})
    assert "was" not in lines[2]
