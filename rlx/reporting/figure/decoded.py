"""Gold of the large policy before training, with experts at decode time, and tuned directly, data seed by data seed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rlx.comparison.decoders import BASE, CEILING, EXPERT, DecodedRow
from rlx.metric.interval import mean_interval
from rlx.reporting.figure.style import FAINT, GOLD, INK, PROXY, QUIET, THIRD, new

TITLE = "Gold with the experts' change, between the untuned and the tuned policy"
ABSENT = "it takes a measurement."
CAPTION = (
    "Mean gold on held-out prompts. A small dot is a data seed; the large one is their mean, with its 95 % interval (Student's "
    "t over data seeds). Dashed: the large policy untuned and tuned directly."
)


def draw(rows: Sequence[DecodedRow]) -> tuple[Figure, str] | None:
    """The figure and its caption; None without rows."""
    if not rows:
        return None
    figure, (axis,) = new(0.9 + 0.42 * len(rows))
    means = {row.name: row.gold.value for row in rows}
    for name in (BASE, CEILING):
        axis.axvline(means[name], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for place, row in enumerate(rows):
        colour = QUIET if row.name in (BASE, CEILING) else THIRD if row.name.startswith(EXPERT) else PROXY
        colour = GOLD if row.name == CEILING else colour
        values_U = row.gold.values_U
        spread = np.linspace(-0.13, 0.13, len(values_U)) if len(values_U) > 1 else np.zeros(1)
        axis.scatter(values_U, place + spread, s=14, color=colour, alpha=0.45, linewidths=0, zorder=2)
        if not row.gold.alike:
            axis.plot(mean_interval(values_U), [place, place], color=colour, linewidth=2.4, zorder=3)
        axis.plot([row.gold.value], [place], "o", color=colour, markeredgecolor="white", markersize=7.5, zorder=4)
    axis.set_yticks(range(len(rows)), [row.name for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("gold")
    axis.grid(axis="y", color=FAINT, linewidth=0.5)
    axis.tick_params(axis="y", length=0, colors=INK)
    return figure, CAPTION
