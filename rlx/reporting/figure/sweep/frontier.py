"""Gold and proxy of all cells against the distance travelled: best-of-n and RL on the same axes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.figure.style import new, zero_line
from rlx.reporting.figure.sweep.look import Looks

TITLE = "Gold and proxy against distance, all cells"
ABSENT = "it takes a cell with two evaluations of gold and proxy."
CAPTION = (
    "Thick: mean over data seeds of the means of their runs at each {place}; thin: each run. "
    "Distance is √KL from {origin}. Scores are gains over the start "
    "in its standard deviations; proxies of different rewards are different things.{bon} RL spends more KL than best-of-n "
    "on the same gain (Gao et al. 2022), so methods are not to be compared at equal distance."
)


def draw(comparison: SweepComparison) -> tuple[Figure, str] | None:
    """The figure and its caption; None without a curve."""
    curves, means, looks = comparison.curves, comparison.mean_curves, Looks(comparison)
    if not means:
        return None
    facets = looks.facets(list(means))
    side_by_side = len(facets) > 1
    height = 2.3 * len(facets) + 0.5 if side_by_side else 5.4
    shape = (len(facets), 2) if side_by_side else (2, 1)
    figure, axes = new(height + looks.legend_height, rows=shape[0], columns=shape[1], sharex=True)
    panels = [(facet, which) for facet in facets for which in ("gold", "proxy")]
    for axis, (facet, which) in zip(axes, panels, strict=True):
        zero_line(axis)
        for label in facet.labels:
            mean, look = means[label], looks.of(label)
            for curve in curves[label] if len(curves[label]) > 1 else []:
                y = getattr(curve, f"{which}_S")
                axis.plot(curve.distance_S, y, color=look.colour, linewidth=0.7, alpha=0.3, zorder=2)
            axis.plot(mean.distance_S, getattr(mean, f"{which}_S"), **look.plot(linewidth=1.8, zorder=3))
        axis.set_title(f"{which}{' · ' if facet.title else ''}{facet.title}", loc="left", fontsize=10.5)
        axis.margins(x=0.03)
        if which == "gold" or not side_by_side:
            axis.set_ylabel("SD over the start")
    for axis in axes[-shape[1] :]:
        axis.set_xlabel("√KL (√nats)")
    same_scale(axes[0::2])
    same_scale(axes[1::2])
    looks.legend(figure, means)
    kinds = {mean.kind for mean in means.values()}
    bon = " Best-of-n has no training: its points are n = 1, 2, 4, …" if "bon" in kinds else ""
    place = "step" if kinds == {"rl"} else "n" if kinds == {"bon"} else "step or n"
    origin = (
        "the start"
        if all(m.from_start for m in means.values())
        else "the start, or the reference where that is missing"
    )
    return figure, CAPTION.format(place=place, origin=origin, bon=bon)


def same_scale(axes: Sequence[Axes]) -> None:
    """One y range for all of them, so that panels can be compared."""
    low, high = (choose(axis.get_ylim()[i] for axis in axes) for i, choose in ((0, min), (1, max)))
    for axis in axes:
        axis.set_ylim(low, high)


def limits(comparison: SweepComparison) -> tuple[tuple[float, float], tuple[float, float]]:
    """Common x and y limits of small multiples, over both scores of all cells."""
    curves = [curve for found in comparison.curves.values() for curve in found]
    x = np.concatenate([curve.distance_S for curve in curves])
    y = np.concatenate([values for curve in curves for values in (curve.gold_S, curve.proxy_S)] + [np.zeros(1)])
    x_room, y_room = 0.04 * (np.ptp(x) or 1.0), 0.06 * (np.ptp(y) or 1.0)
    return (float(x.min() - x_room), float(x.max() + x_room)), (float(y.min() - y_room), float(y.max() + y_room))
