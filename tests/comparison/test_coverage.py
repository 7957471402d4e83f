"""Whether intervals hold what they say: simulated sweeps whose true difference is known, through all that a page shows."""

from pathlib import Path

import numpy as np
import pytest

from rlx.comparison.sweep import GOLD, AxisDifference, SweepComparison
from rlx.comparison.unit import units_of
from rlx.metric.interval import mean_interval
from rlx.run.sweep_record import CellRecord, SweepRecord

CROSSED = [(seed, data) for data in range(3) for seed in range(3)]
FAILED = [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (1, 2)]
DESIGNS = {
    "3 x 3": (CROSSED, 1.0, 0.3),
    "3 x 3, as much luck of training": (CROSSED, 0.5, 0.5),
    "1 data seed x 3": ([(seed, 0) for seed in range(3)], 1.0, 0.3),
    "6 data seeds x 1": ([(0, data) for data in range(6)], 1.0, 0.3),
    "unbalanced 3 x 3": (FAILED, 1.0, 0.3),
    "unbalanced 3 x 3, as much luck of training": (FAILED, 0.5, 0.5),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_t_over_units_covers_the_truth_in_95_percent(design):
    """6,000 trials: the share's own sd is .003. With one data seed the truth is that data seed's mean."""
    runs, data_sd, run_sd = DESIGNS[design]
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(6000):
        data = data_sd * rng.normal(size=6)
        noise = run_sd * rng.normal(size=len(runs))
        units = units_of({run: data[run[1]] + x for run, x in zip(runs, noise, strict=True)})
        low, high = mean_interval(units.values_U)
        held += low <= (data[0] if design.startswith("1 data") else 0.0) <= high
    assert 0.94 <= held / 6000 <= 0.96


def whole_page(runs, data_sd, run_sd, rng, lost=()) -> tuple[AxisDifference, np.ndarray]:
    """Two rewards and two references; no difference but that of data seeds. `lost`: (reward, reference, run) that failed."""
    effect = {"single": 0.0, "warm": rng.normal(size=6) * data_sd}
    level = {"frozen": 0.0, "soup": 2.0}
    cells = []
    for reward, of_data in effect.items():
        for reference in level:
            for run in runs:
                gold = (
                    1.0
                    + level[reference] * (reward == "warm")
                    + (np.zeros(6) + of_data)[run[1]]
                    + run_sd * rng.normal()
                )
                state = "failed" if (reward, reference, run) in lost else "done"
                axes = {"reward": reward, "reference": reference}
                name = f"{reward}-{reference}-{run}"
                metrics = {GOLD: gold} if state == "done" else {}
                cells.append(CellRecord(name, axes, *run, state, "", 1.0, metrics, None))
    comparison = SweepComparison(SweepRecord(Path("sweep"), cells, {}, {}))
    (found,) = (one for one in comparison.differences if one.axis == "reward")
    return found, np.asarray(effect["warm"])


LOST = {
    ("warm", "soup", (0, 0)), ("single", "frozen", (1, 1)), ("warm", "frozen", (2, 1)), ("single", "soup", (0, 2)),
    ("single", "soup", (1, 2)), ("single", "soup", (2, 2)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("design", "lost"),
    [("3 x 3", ()), ("3 x 3, as much luck of training", ()), ("3 x 3", LOST), ("1 data seed x 3", ())],
)
def test_the_difference_that_a_page_shows_covers_the_truth_in_95_percent(design, lost):
    """400 sweeps: the share's own sd is .011. A failed cell must not bring its setting's level (2 SD) into the difference."""
    runs, data_sd, run_sd = DESIGNS[design]
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        found, effect = whole_page(runs, data_sd, run_sd, rng, lost)
        truth = 1.0 + (effect[0] if design.startswith("1 data") else 0.0)  # half of the settings have a difference of 2
        low, high = found.difference.low, found.difference.high
        assert found.difference.num == 3 and low is not None and high is not None
        held += low <= truth <= high
    assert 0.93 <= held / 400 <= 0.97
