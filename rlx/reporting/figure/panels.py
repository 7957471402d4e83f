"""Small multiples: one quantity a panel, all along training, each on its own scale."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.reporting.figure.style import INK, QUIET, new, step_axis
from rlx.reporting.figure.thinned import thinned


class Panel(NamedTuple):
    """`quiet` is drawn thin behind the curve (the training batches behind the held-out points)."""

    title: str
    steps: np.ndarray
    values: np.ndarray
    colour: str = INK
    quiet: tuple[np.ndarray, np.ndarray] | None = None
    share: bool = False  # a share of 1: drawn on [0, 1]
    explodes: bool = False  # drawn on a logarithmic axis beyond 100, which the title then says


def draw_panels(panels: list[Panel]) -> Figure:
    """Two panels a row."""
    rows = (len(panels) + 1) // 2
    figure, axes = new(0.45 + 1.75 * rows, rows=rows, columns=2)
    for axis, panel in zip(axes, panels, strict=False):
        _fill(axis, panel)
    for axis in axes[len(panels) :]:
        axis.remove()
    for place, axis in enumerate(axes[: len(panels)]):
        step_axis(axis, label=place >= len(panels) - 2)
    return figure


def _fill(axis: Axes, panel: Panel) -> None:
    title = panel.title
    if panel.quiet is not None:
        quiet = thinned(panel.quiet[1])
        axis.plot(panel.quiet[0][quiet], panel.quiet[1][quiet], color=QUIET, linewidth=0.9, zorder=2)
    points = "o" if len(panel.values) <= 20 else None
    keep = thinned(panel.values)
    steps, values = panel.steps[keep], panel.values[keep]
    axis.plot(steps, values, color=panel.colour, marker=points, markersize=3.5, linewidth=1.6, zorder=3)
    if panel.explodes and panel.values.max() > 100:
        axis.set_yscale("symlog", linthresh=1.0)
        title += " (log scale)"
    elif panel.share:
        axis.set_ylim(-0.04, 1.04)
    else:
        _room_for_a_constant(axis)
    axis.set_title(title, loc="left")


def _room_for_a_constant(axis: Axes) -> None:
    """A curve that hardly moves is shown as flat, not as a mountain range of rounding errors."""
    low, high = axis.get_ylim()
    middle, least = (low + high) / 2, 0.02 * max(abs(low), abs(high))
    if high - low < least:
        axis.set_ylim(middle - least, middle + least)
