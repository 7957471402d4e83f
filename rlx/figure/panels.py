"""Small multiples: one quantity a panel, all along training, each on its own scale."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.figure.style import INK, QUIET, new


class Panel(NamedTuple):
    """`quiet` is drawn thin behind the curve (the training batches behind the held-out points)."""

    title: str
    steps: np.ndarray
    values: np.ndarray
    colour: str = INK
    quiet: tuple[np.ndarray, np.ndarray] | None = None
    share: bool = False  # a share of 1: drawn on [0, 1]


def draw_panels(panels: list[Panel]) -> Figure:
    """Two panels a row. Values spanning more than a factor of 1,000 get a logarithmic axis, which the title says."""
    rows = (len(panels) + 1) // 2
    figure, axes = new(0.45 + 1.75 * rows, rows=rows, columns=2)
    for axis, panel in zip(axes, panels, strict=False):
        _fill(axis, panel)
    for axis in axes[len(panels) :]:
        axis.remove()
    last_row = axes[max(0, len(panels) - 2) : len(panels)]
    for axis in last_row:
        axis.set_xlabel("step")
    return figure


def _fill(axis: Axes, panel: Panel) -> None:
    title = panel.title
    if panel.quiet is not None:
        axis.plot(*panel.quiet, color=QUIET, linewidth=0.9, zorder=2)
    points = "o" if len(panel.values) <= 20 else None
    axis.plot(panel.steps, panel.values, color=panel.colour, marker=points, markersize=3.5, linewidth=1.6, zorder=3)
    positive = panel.values[panel.values > 0]
    if len(positive) and positive.max() > 100 and positive.max() > 1000 * np.median(np.abs(panel.values[:2])):
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
