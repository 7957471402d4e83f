"""What counts as one: runs are grouped by what was drawn independently, and both components of their variance are shown.

Runs that share a data seed share their pairs, flips and reward models. So where there are several data seeds, the unit is
the data seed: its runs are averaged first, and an interval counts data seeds. Where there is one, the unit is the run
seed, and the interval tells of other trainings on the same data and reward models alone.

Data seeds weigh alike however many of their runs are done: unit means are then independent draws around the same mean,
and sd^2 / n of them is an unbiased estimate of their mean's variance, equally many runs in each or not. Components, for
n_i runs in each of U data seeds (unweighted analysis of variance; Searle, Casella and McCulloch 1992, section 3.6):

    within^2 = sum_i sum_j (x_ij - mean_i)^2 / sum_i (n_i - 1),    between^2 = sd(mean_i)^2 - within^2 mean_i(1 / n_i)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Run = tuple[int, int]  # seed and data seed, as in CellRecord.seeds
Kind = Literal["data seed", "run seed"]


@dataclass(frozen=True)
class Units:
    """U unit means of R runs. `between` is the SD between data seeds with the luck of their runs taken out, `within` the
    SD between run seeds of one data seed. None where it cannot be told: `between` of one data seed, both where every data
    seed has one run, whose `sd` is then of both together."""

    kind: Kind
    values_U: np.ndarray
    runs: int
    between: float | None = None
    within: float | None = None

    @property
    def num(self) -> int:
        """The n of an interval."""
        return len(self.values_U)

    @property
    def value(self) -> float:
        """Mean over units."""
        return float(self.values_U.mean())

    @property
    def sd(self) -> float:
        """Over units; 0 for one."""
        return float(self.values_U.std(ddof=1)) if self.num > 1 else 0.0

    @property
    def alike(self) -> bool:
        """One unit, or several that agree to the last bit: neither allows an interval."""
        return self.num < 2 or bool(np.ptp(self.values_U) <= 1e-12 * max(1.0, abs(self.value)))


def units_of(values: Mapping[Run, float]) -> Units:
    """Group one number for each run by data seed, or by run seed where there is one data seed."""
    groups: dict[int, list[float]] = {}
    for (_, data_seed), value in sorted(values.items()):
        groups.setdefault(data_seed, []).append(value)
    freedom = len(values) - len(groups)
    squares = sum(float(np.var(group)) * len(group) for group in groups.values())
    within = float(np.sqrt(squares / freedom)) if freedom else None
    if len(groups) == 1:
        (group,) = groups.values()
        return Units("run seed", np.array(group), len(values), None, within)
    means_U = np.array([np.mean(group) for group in groups.values()])
    if within is None:
        return Units("data seed", means_U, len(values))
    luck = within**2 * float(np.mean([1 / len(group) for group in groups.values()]))
    between = float(np.sqrt(max(float(means_U.var(ddof=1)) - luck, 0.0)))
    return Units("data seed", means_U, len(values), between, within)


def by_run(values: Mapping[tuple[Run, Any], float]) -> dict[Run, float]:
    """Average `values`, keyed by (run, settings of the other axes), over the settings of each run.

    Where a run lacks a setting that others have (a failed cell), that setting's own level is not to look like the run's
    luck: unit + setting is fitted to all cells by least squares, and each setting's level is put at their common mean.
    Where no chain of cells links all units and settings, levels cannot be told from luck; plain means then stand.
    """
    runs, settings = (list(dict.fromkeys(key[place] for key in values)) for place in (0, 1))
    several = len({run[1] for run in runs}) > 1
    units = list(dict.fromkeys(run[1] if several else run[0] for run in runs))
    table = np.zeros((len(values), len(units) + len(settings)))
    for row, (run, setting) in enumerate(values):
        table[row, units.index(run[1] if several else run[0])] = 1.0
        table[row, len(units) + settings.index(setting)] = 1.0
    found, _, rank, _ = np.linalg.lstsq(table, np.array(list(values.values()), dtype=np.float64))
    linked = rank == len(units) + len(settings) - 1
    level = dict(zip(settings, found[len(units) :], strict=True))
    middle = float(np.mean(list(level.values())))
    by = {setting: level[setting] - middle if linked else 0.0 for setting in settings}
    return {
        run: float(np.mean([value - by[setting] for (one, setting), value in values.items() if one == run]))
        for run in runs
    }
