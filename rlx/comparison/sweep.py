"""What a sweep's cells show together: means over units, differences along each axis, and the curves with their fits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from rlx.comparison.curve import Curve, curve_of, mean_curve
from rlx.comparison.goodhart import Fit, fit
from rlx.comparison.pair import win_rate
from rlx.comparison.paired import Difference, paired_difference
from rlx.comparison.unit import Kind, Run, Units, by_run, units_of
from rlx.metric.interval import mean_interval
from rlx.run.record import RunRecord
from rlx.run.sweep_record import CellRecord, SweepRecord

# Name in the index or of the curve's end, what it is called, whether more is better (None: neither).
GOLD = "gold/score_sd_units"
MEASURES: Mapping[str, str] = {
    GOLD: "gold, SD over the start",
    "gold/win_rate": "win rate over the start",
    "curve/fall": "gold lost since its peak, SD",
    "curve/proxy": "proxy, SD over the start",
    "objective/kl_start": "KL to the start, nats",
}


@dataclass(frozen=True)
class Mean:
    """Of one measure over the cells of one label: the mean over `units`; 95 % bounds by Student's t over them, None for
    one unit."""

    low: float | None
    high: float | None
    units: Units

    @property
    def value(self) -> float:
        return self.units.value


@dataclass(frozen=True)
class AxisDifference:
    """`first` minus `second`, two values of `axis`, in one measure; `settings` of the other axes took part."""

    axis: str
    first: str
    second: str
    measure: str
    settings: int
    difference: Difference


@dataclass(frozen=True)
class SweepComparison:
    sweep: SweepRecord

    @cached_property
    def _curves(self) -> dict[str, dict[int, list[Curve]]]:
        """Label -> data seed -> a curve for each of its cells that are done, or for all of them where none is: a run that
        was cut off would cut the mean off with it."""
        found: dict[str, dict[int, list[Curve]]] = {}
        for label in self.sweep.labels:
            cells = [cell for cell in self.sweep.of(label) if cell.run]
            for cell in [cell for cell in cells if cell in self.sweep.done] or cells:
                if cell.run and (curve := curve_of(cell.run)) is not None:
                    found.setdefault(label, {}).setdefault(cell.data_seed, []).append(curve)
        return found

    @cached_property
    def curves(self) -> dict[str, list[Curve]]:
        """Label -> a curve for each of its runs."""
        return {label: [one for curves in of.values() for one in curves] for label, of in self._curves.items()}

    @cached_property
    def mean_curves(self) -> dict[str, Curve]:
        """Label -> the mean over data seeds of the means over their runs, of labels whose runs have two steps in common."""
        found = {label: mean_curve([mean_curve(one) for one in of.values()]) for label, of in self._curves.items()}
        return {label: curve for label, curve in found.items() if len(curve.steps_S) > 1}

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """Label -> Gao et al.'s form through the evaluations of all its runs; data seeds weigh alike."""
        found = {}
        for label, of in self._curves.items():
            curves = [(curve, 1 / len(one)) for one in of.values() for curve in one]
            d, gold = (np.concatenate([getattr(c, name) for c, _ in curves]) for name in ("distance_S", "gold_S"))
            weight = np.concatenate([np.full(len(curve.gold_S), share) for curve, share in curves])
            if (fitted := fit(curves[0][0].kind, d, gold, weight)) is not None:
                found[label] = fitted
        return found

    @cached_property
    def means(self) -> dict[str, dict[str, Mean]]:
        """Label -> measure -> mean over its finished cells."""
        return {label: found for label in self.sweep.labels if (found := self._means(label))}

    @cached_property
    def differences(self) -> list[AxisDifference]:
        """Every pair of values of every axis in every measure, of what both have."""
        found = []
        for axis, values in self.sweep.axes.items():
            for second, first in combinations(values, 2):
                for measure in MEASURES:
                    one, other = (self._by_pair(axis, value, measure) for value in (first, second))
                    if common := one.keys() & other.keys():
                        settings = len({key[1] for key in common})
                        difference = paired_difference(one, other)
                        if measure == "gold/win_rate" and difference.low is not None and difference.high is not None:
                            low, high = max(difference.low, -1.0), min(difference.high, 1.0)  # of two shares
                            difference = replace(difference, low=low, high=high)
                        found.append(AxisDifference(axis, first, second, measure, settings, difference))
        return found

    @cached_property
    def wins(self) -> dict[tuple[str, str, str], Mean]:
        """(axis, first, second) -> the share of common held-out prompts on which gold prefers the run of `first` to that of
        `second`, over the pairs of `differences`. Pairs that kept no samples are left out."""
        found = {}
        for axis, values in self.sweep.axes.items():
            for second, first in combinations(values, 2):
                one, other = (self._cells_by_pair(axis, value) for value in (first, second))
                shares = {key: _won(one[key].run, other[key].run) for key in one if key in other}
                known = {key: share for key, share in shares.items() if share is not None}
                if known:
                    found[axis, first, second] = _share(units_of(by_run(known)))
        return found

    @property
    def runs(self) -> set[Run]:
        """Seeds and data seeds of the finished cells."""
        return {cell.seeds for cell in self.sweep.done}

    @property
    def kind(self) -> Kind:
        """What the intervals of the whole sweep count; of a label or pair whose cells failed it may be another."""
        return "data seed" if len({data_seed for _, data_seed in self.runs}) > 1 else "run seed"

    def value(self, cell: CellRecord, measure: str) -> float | None:
        """One measure of a finished cell."""
        if measure.startswith("curve/"):
            curve = curve_of(cell.run) if cell.run else None
            if curve is None:
                return None
            return curve.fall if measure == "curve/fall" else float(curve.proxy_S[-1])
        value = cell.metrics.get(measure)
        if value is None and measure == "objective/kl_start":
            value = cell.metrics.get("objective/kl")
        return None if value is None else float(value)

    @cached_property
    def _values(self) -> dict[tuple[str, str], float]:
        """(run, measure) -> value, of all finished cells."""
        found = {(cell.name, m): self.value(cell, m) for cell in self.sweep.done for m in MEASURES}
        return {key: value for key, value in found.items() if value is not None and np.isfinite(value)}

    def _means(self, label: str) -> dict[str, Mean]:
        found = {}
        for measure in MEASURES:
            values = {
                cell.seeds: self._values[cell.name, measure]
                for cell in self.sweep.of(label)
                if (cell.name, measure) in self._values
            }
            if values:
                units = units_of(values)
                bounds = (None, None) if units.alike else mean_interval(units.values_U)
                found[measure] = _share(units) if measure == "gold/win_rate" else Mean(*bounds, units)
        return found

    def _by_pair(self, axis: str, value: str, measure: str) -> dict[tuple[Run, tuple[str, ...]], float]:
        cells = self._cells_by_pair(axis, value)
        names = {key: (cell.name, measure) for key, cell in cells.items()}
        return {key: self._values[name] for key, name in names.items() if name in self._values}

    def _cells_by_pair(self, axis: str, value: str) -> dict[tuple[Run, tuple[str, ...]], CellRecord]:
        """(seed and data seed, values of the other axes) -> the finished cell with `value` of `axis`."""
        found = {}
        for cell in self.sweep.done:
            if cell.axes.get(axis) == value:
                found[cell.seeds, tuple(v for key, v in cell.axes.items() if key != axis)] = cell
        return found


def _won(first: RunRecord | None, second: RunRecord | None) -> float | None:
    return win_rate(first, second) if first and second else None


def _share(units: Units) -> Mean:
    """The mean of shares; t does not know that a share ends at 0 and 1."""
    if units.alike:
        return Mean(None, None, units)
    low, high = mean_interval(units.values_U)
    return Mean(max(low, 0.0), min(high, 1.0), units)
