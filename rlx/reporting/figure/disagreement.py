"""How far the reward models that vote on a completion part ways as the policy leaves the texts they were trained on."""

import re
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.reporting.figure.style import PROXY, QUIET, THIRD, EndLabel, label_ends, new, step_axis, zero_line
from rlx.reporting.figure.thinned import thinned
from rlx.run.record import RunRecord

TITLE = "Do the reward models still agree?"
ABSENT = "it takes two held-out evaluations and two or more reward models."
CAPTION = (
    "Left: mean held-out score by each of the {members} members, and the proxy made of them. Right: mean over "
    "completions of the standard deviation over members. Members that part ways say that the policy has left the texts "
    "they know."
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None unless two members or more were scored at two evaluations."""
    steps, spread = record.series("heldout", "ensemble/std")
    if len(steps) < 2:
        return None
    names = sorted(name for name in record.measured if re.fullmatch(r"ensemble/member_\d+", name))
    figure, (left, right) = new(3.1, columns=2)
    zero_line(left)
    for name in names:
        _plot(left, *record.series("heldout", name), color=QUIET, linewidth=1.2, zorder=2)
    proxy_steps, proxy = record.series("heldout", "proxy/score")
    _plot(left, proxy_steps, proxy, color=PROXY, marker="s", zorder=3)
    left.set_title("mean score", loc="left")
    last = float(np.median([record.series("heldout", name)[1][-1] for name in names]))
    ends = [EndLabel(proxy_steps[-1], proxy[-1], "proxy", PROXY), EndLabel(proxy_steps[-1], last, "members", QUIET)]
    label_ends(left, ends, size=10)
    _plot(right, steps, spread, color=THIRD, marker="o")
    right.set_ylim(0, max(spread) * 1.12 or 1.0)
    right.set_title("disagreement (SD)", loc="left")
    for axis in (left, right):
        step_axis(axis)
    return figure, CAPTION.format(members=len(names))


def _plot(axis: Axes, steps: np.ndarray, values: np.ndarray, **look: Any) -> None:
    keep = thinned(values)
    axis.plot(steps[keep], values[keep], **look)
