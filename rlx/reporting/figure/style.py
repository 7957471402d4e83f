"""How every figure looks: readable at phone width, told apart without colour vision, labelled where the curve ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito's palette: distinct for all common kinds of colour vision.
GOLD, PROXY, THIRD, GOOD, BAD, QUIET = "#b8860b", "#0072b2", "#7b3294", "#00795c", "#c0392b", "#8a8f98"
INK, FAINT = "#22262d", "#d9dce1"
WIDTH = 6.4  # inches; with 11 point text still legible when shown 400 pixels wide

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "lines.markersize": 4.5,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
}


class EndLabel(NamedTuple):
    """Text to stand to the right of the point (x, y)."""

    x: float
    y: float
    text: str
    colour: str


def new(height: float, rows: int = 1, columns: int = 1, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of `height` inches with its panels in reading order. Not registered with pyplot: nothing to close.
    The gallery draws inside an rc_context(STYLE)."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=sharex, squeeze=False)
    return figure, list(axes.flat)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG; the same figure gives the same bytes."""
    figure.savefig(path, format="png", metadata={"Software": None})


def label_ends(axis: Axes, labels: Sequence[EndLabel], size: float = 11) -> None:
    """Write each label at its curve's end, moved up or down as far as needed for all to be readable, with a thin line
    to where it belongs if it was moved. Call it last: it reads the axis limits and fixes them."""
    if not labels:
        return
    low, high = axis.get_ylim()
    axis.set_ylim(low, high)
    inches = axis.get_position().height * axis.figure.get_size_inches()[1] * 0.9  # pyright: ignore[reportAttributeAccessIssue]
    gap = 1.25 * size / 72 / inches  # of the axis height, for one line of text
    order = sorted(range(len(labels)), key=lambda i: labels[i].y)
    wanted = np.array([(labels[i].y - low) / (high - low) for i in order])
    for place, i in zip(spread(wanted, gap), order, strict=True):
        label = labels[i]
        true = (label.y - low) / (high - low)
        moved = abs(place - true) > gap / 4
        axis.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(1.045, place),
            textcoords="axes fraction",
            ha="left",
            va="center",
            color=label.colour,
            fontsize=size,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.7, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3}
            if moved
            else None,
        )


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """The places nearest to the ascending `wanted` (least squares) at which neighbours are at least `gap` apart: pool
    adjacent violators on wanted - i gap."""
    blocks: list[list[float]] = []
    for i, value in enumerate(wanted):
        blocks.append([value - i * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1].extend(last)
    return np.concatenate([[np.mean(block)] * len(block) for block in blocks]) + gap * np.arange(len(wanted))


def zero_line(axis: Axes, at: float = 0.0) -> None:
    """A quiet line at the value that means "no change"."""
    axis.axhline(at, color=QUIET, linewidth=1, zorder=1)


def step_axis(axis: Axes, label: bool = True) -> None:
    """Whole steps along x."""
    axis.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))
    if label:
        axis.set_xlabel("step")


def signed(value: float) -> str:
    """+0.62 or −0.30, with a minus sign that is as wide as the plus."""
    return f"{value:+.2f}".replace("-", "−")
