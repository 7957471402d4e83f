"""Gao et al.'s curves through each combination's evaluations, with their peaks."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.figure.style import new, zero_line
from rlx.reporting.figure.sweep.frontier import same_scale
from rlx.reporting.figure.sweep.look import Look, Looks

TITLE = "The laws of over-optimisation, fitted"
ABSENT = "it takes three evaluations of one combination at different distances (RL: of at least 0.3 √nats)."
CAPTION = (
    "Points: gold at every evaluation of every run. Lines: least squares, data seeds weighing alike, "
    "of d (a − b d) for best-of-n and d (a − b log d) for "
    "RL (Gao et al. 2022), d = √KL; dotted where nothing was measured. Star: the fitted peak, hollow where it lies beyond what "
    "was measured."
)
BEYOND = 1.15  # a curve is drawn this far past its last point, to the peak if that is nearer


def draw(comparison: SweepComparison) -> tuple[Figure, str] | None:
    """The figure and its caption; None without a fit."""
    fits, looks = comparison.fits, Looks(comparison)
    if not fits:
        return None
    facets = looks.facets(list(fits))
    columns = min(2, len(facets))
    rows = -(-len(facets) // columns)
    figure, axes = new((3.8 if columns == 1 else 0.4 + 2.6 * rows) + looks.legend_height, rows=rows, columns=columns)
    for place, (axis, facet) in enumerate(zip(axes, facets, strict=False)):
        zero_line(axis)
        for label in facet.labels:
            _curve(axis, comparison, label, looks.of(label))
        axis.set_title(facet.title, loc="left", fontsize=10.5)
        axis.set_xlabel("d = √KL (√nats)")
        if place % columns == 0:
            axis.set_ylabel("gold, SD over the start")
    for axis in axes[len(facets) :]:
        axis.remove()
    same_scale(axes[: len(facets)])
    looks.legend(figure, fits)
    return figure, CAPTION


def _curve(axis: Axes, comparison: SweepComparison, label: str, look: Look) -> None:
    fitted, colour = comparison.fits[label], look.colour
    for curve in comparison.curves[label]:
        axis.plot(curve.distance_S, curve.gold_S, color=colour, linestyle="", marker=look.marker, ms=3.2, alpha=0.4)
    within = np.linspace(0, fitted.furthest, 200)
    axis.plot(within, fitted(within), color=colour, linestyle=look.line, linewidth=1.8, zorder=3)
    beyond = np.linspace(fitted.furthest, BEYOND * fitted.furthest, 60)
    axis.plot(beyond, fitted(beyond), color=colour, linestyle=":", linewidth=1.0, zorder=2)
    if fitted.peak is not None and fitted.peak[0] <= beyond[-1]:
        face = colour if fitted.peak[0] <= fitted.furthest else "white"
        axis.plot(*fitted.peak, marker="*", markersize=13, color=colour, mfc=face, mec="white", mew=0.8, zorder=5)
        if face == "white":
            axis.lines[-1].set_markeredgecolor(colour)
