"""Which of the things that gold is made of are gained, and which are paid with."""

import numpy as np
from matplotlib.figure import Figure

from rlx.reporting.figure.style import BAD, GOOD, QUIET, EndLabel, label_ends, new, signed, step_axis, zero_line
from rlx.reporting.figure.thinned import thinned
from rlx.run.record import RunRecord

TITLE = "Which factor of gold is sacrificed"
ABSENT = "it takes two held-out evaluations and a judge that names the factors of its score."
CAPTION = (
    "Change of each factor of the gold score since the start, in standard deviations over the start's completions. "
    "Green rose, red fell, grey moved by less than 0.1.{others}"
)
OTHERS = " Alike in all of the start's completions, therefore in their own unit and not drawn: {names}."
UNMOVED = 0.1  # SD


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None where no factor with a spread at the start was measured twice."""
    spreads = start_spreads(record)
    changes = {name: _change(record, name) for name in record.factors}
    drawn = {name: change for name, change in changes.items() if len(change[0]) > 1 and spreads.get(name, 0) > 1e-6}
    if not drawn:
        return None
    figure, (axis,) = new(max(3.4, 1.2 + 0.24 * len(drawn)))
    zero_line(axis)
    labels = []
    for name, (steps, change) in drawn.items():
        values = change / spreads[name]
        end = values[-1]
        colour = QUIET if abs(end) < UNMOVED else GOOD if end > 0 else BAD
        keep, above = thinned(values), 2 + (colour != QUIET)
        axis.plot(steps[keep], values[keep], color=colour, linewidth=1.8, marker="o", markersize=3.5, zorder=above)
        labels.append(EndLabel(steps[-1], end, f"{shortened(name)} {signed(end)}", colour))
    if record.bon:
        ns = record.series("bon", "bon/n")[0]
        axis.set_xscale("log", base=2)
        axis.set_xticks(ns, [f"{n:,}" for n in ns])
        axis.minorticks_off()
        axis.set_xlabel("n, completions to choose from")
    else:
        step_axis(axis)
    axis.set_ylabel("change, SD")
    axis.margins(x=0.03)
    label_ends(axis, labels, size=10)
    others = [
        f"{name} {signed(changes[name][1][-1])}" for name in changes if name not in drawn and len(changes[name][1])
    ]
    return figure, CAPTION.format(others=OTHERS.format(names=", ".join(others)) if others else "")


def start_spreads(record: RunRecord) -> dict[str, float]:
    """Factor -> SD over the completions of the first evaluation."""
    rows = record.bon or record.heldout
    first = rows[0] if rows else {}
    return {name: first[f"gold_std/{name}"] for name in record.factors if first.get(f"gold_std/{name}") is not None}


def shortened(name: str) -> str:
    """A factor's name as a label beside a curve."""
    return name if len(name) <= 18 else name[:17] + "…"


def _change(record: RunRecord, name: str) -> tuple[np.ndarray, np.ndarray]:
    steps, values = record.series("bon" if record.bon else "heldout", f"gold/{name}")
    return steps, values - values[0] if len(values) else values
