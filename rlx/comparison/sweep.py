"""What a sweep's cells show together: means over seeds, differences along each axis, and the curves with their fits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from rlx.comparison.curve import Curve, curve_of, mean_curve
from rlx.comparison.goodhart import Fit, fit
from rlx.comparison.paired import Difference, by_seed, paired_difference, t_interval
from rlx.core.sweep_record import CellRecord, SweepRecord

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
    """Of one measure over the cells of one label: `num` seeds; 95 % bounds by Student's t, None for one seed."""

    value: float
    low: float | None
    high: float | None
    num: int


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
class Comparison:
    sweep: SweepRecord

    @cached_property
    def curves(self) -> dict[str, list[Curve]]:
        """Label -> a curve for each of its cells that are done, or for all of them where none is: a run that was cut off
        would cut the mean off with it."""
        found = {}
        for label in self.sweep.labels:
            cells = [cell for cell in self.sweep.of(label) if cell.run]
            runs = [cell.run for cell in cells if cell in self.sweep.done] or [cell.run for cell in cells]
            if curves := [curve for run in runs if run and (curve := curve_of(run)) is not None]:
                found[label] = curves
        return found

    @cached_property
    def mean_curves(self) -> dict[str, Curve]:
        """Label -> the mean over seeds, of labels whose seeds have two steps in common."""
        found = {label: mean_curve(curves) for label, curves in self.curves.items()}
        return {label: curve for label, curve in found.items() if len(curve.steps_S) > 1}

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """Label -> Gao et al.'s form through the evaluations of all its seeds."""
        found = {}
        for label, curves in self.curves.items():
            d, gold = (np.concatenate([getattr(c, name) for c in curves]) for name in ("distance_S", "gold_S"))
            if (fitted := fit(curves[0].kind, d, gold)) is not None:
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
                    pairs = by_seed(one, other)
                    if pairs[0]:
                        settings = len({key[1] for key in one.keys() & other.keys()})
                        difference = paired_difference(*pairs)
                        if measure == "gold/win_rate" and difference.low is not None and difference.high is not None:
                            low, high = max(difference.low, -1.0), min(difference.high, 1.0)  # of two shares
                            difference = replace(difference, low=low, high=high)
                        found.append(AxisDifference(axis, first, second, measure, settings, difference))
        return found

    @property
    def units(self) -> set[tuple[int, int]]:
        """Seeds and data seeds of the finished cells."""
        return {cell.unit for cell in self.sweep.done}

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
        names = [cell.name for cell in self.sweep.of(label)]
        for measure in MEASURES:
            values = np.array([self._values[name, measure] for name in names if (name, measure) in self._values])
            if len(values):
                bounds = t_interval(values) if len(values) > 1 and np.ptp(values) > 0 else (None, None)
                if measure == "gold/win_rate" and bounds[0] is not None:  # t does not know that a share ends at 0 and 1
                    bounds = max(bounds[0], 0.0), min(bounds[1], 1.0)
                found[measure] = Mean(float(values.mean()), *bounds, len(values))
        return found

    def _by_pair(self, axis: str, value: str, measure: str) -> dict[tuple[tuple[int, int], tuple[str, ...]], float]:
        found = {}
        for cell in self.sweep.done:
            if cell.axes.get(axis) == value and (cell.name, measure) in self._values:
                others = tuple(v for key, v in cell.axes.items() if key != axis)
                found[cell.unit, others] = self._values[cell.name, measure]
        return found
