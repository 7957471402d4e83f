"""Which of the things that gold is made of are gained, and which are paid with."""

import numpy as np
from matplotlib.figure import Figure

from rlx.core.record import RunRecord
from rlx.figure.style import BAD, GOOD, QUIET, EndLabel, label_ends, new, signed, step_axis, zero_line

TITLE = "Which factor of gold is sacrificed"
ABSENT = "it takes two held-out evaluations and a judge that names the factors of its score."
CAPTION = (
    "Change of each factor of the gold score since the start, {unit}. Green rose, red fell, grey moved by less than "
    "{threshold}."
)
IN_SD, IN_OWN = "in standard deviations over the start's completions", "in the factor's own unit"


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None where the judge names no factors or only one evaluation has them."""
    changes = {name: _change(record, name) for name in record.factors}
    changes = {name: change for name, change in changes.items() if len(change[0]) > 1}
    if not changes:
        return None
    spreads = start_spreads(record)
    in_sd = all(name in spreads for name in changes)
    threshold = 0.1 if in_sd else 0.02
    figure, (axis,) = new(max(3.4, 1.2 + 0.24 * len(changes)))
    zero_line(axis)
    labels = []
    for name, (steps, change) in changes.items():
        values = change / spreads[name] if in_sd else change
        end = values[-1]
        colour = QUIET if abs(end) < threshold else GOOD if end > 0 else BAD
        axis.plot(
            steps, values, color=colour, linewidth=1.8, marker="o", markersize=3.5, zorder=2 if colour == QUIET else 3
        )
        labels.append(EndLabel(steps[-1], end, f"{shortened(name)} {signed(end)}", colour))
    step_axis(axis)
    axis.set_ylabel("change, SD" if in_sd else "change")
    axis.margins(x=0.03)
    label_ends(axis, labels, size=10)
    unit = IN_SD if in_sd else IN_OWN
    return figure, CAPTION.format(unit=unit, threshold=f"{threshold} SD" if in_sd else f"{threshold}")


def start_spreads(record: RunRecord) -> dict[str, float]:
    """Factor -> SD over the sampled completions of step 0; without the factors that do not vary there, and empty for
    fewer than 20 samples, of which no SD is worth dividing by."""
    factors = [sample.get("factors") or {} for sample in record.samples_at(0).values()]
    if len(factors) < 20:
        return {}
    names = {name for one in factors for name in one}
    spreads = {name: float(np.std([one[name] for one in factors if name in one])) for name in names}
    return {name: spread for name, spread in spreads.items() if spread > 1e-6}


def shortened(name: str) -> str:
    """A factor's name as a label beside a curve."""
    return name if len(name) <= 18 else name[:17] + "…"


def _change(record: RunRecord, name: str) -> tuple[np.ndarray, np.ndarray]:
    steps, values = record.series("heldout", f"gold/{name}")
    return steps, values - values[0] if len(values) else values
