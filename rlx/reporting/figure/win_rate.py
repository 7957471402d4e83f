"""How often gold prefers the policy's completion to the start's, along training."""

import numpy as np
from matplotlib.figure import Figure

from rlx.reporting.figure.style import GOLD, EndLabel, label_ends, new, step_axis, zero_line
from rlx.reporting.figure.thinned import thinned
from rlx.run.record import RunRecord

TITLE = "Against the start policy, prompt by prompt"
ABSENT = "it takes two held-out evaluations."
CAPTION = (
    "Share of held-out prompts on which the completion has more gold than the start policy's (ties count half). The "
    "band is a 95 % interval over prompts (Wilson); where it holds the line at 50 %, better and worse cannot be told "
    "apart."
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None without two evaluations."""
    steps, rate = record.series("heldout", "gold/win_rate")
    low, high = (record.series("heldout", f"gold/win_rate_{side}")[1] for side in ("low", "high"))
    if len(steps) < 2:
        return None
    figure, (axis,) = new(3.0)
    zero_line(axis, 50)
    keep = thinned(rate)
    if len(low) == len(high) == len(steps):
        axis.fill_between(steps[keep], 100 * low[keep], 100 * high[keep], color=GOLD, alpha=0.22, linewidth=0)
    axis.plot(steps[keep], 100 * rate[keep], color=GOLD, marker="o")
    axis.set_ylim(0, 100)
    axis.set_yticks(np.arange(0, 101, 25))
    axis.set_ylabel("win rate, %")
    step_axis(axis)
    axis.margins(x=0.03)
    label_ends(axis, [EndLabel(steps[-1], 100 * rate[-1], f"{100 * rate[-1]:.0f} %", GOLD)])
    return figure, CAPTION
