"""What each reward model finds important, beside gold: the share of every group of factors, and its sign."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rlx.reporting.figure.style import FAINT, GOLD, PROXY, QUIET, new
from rlx.reporting.importance import drawn, of_kind, order
from rlx.run.record import RunRecord

TITLE = "What the reward models find important"
ABSENT = "it takes reward models, and a world that can take groups of factors out of a text."
CAPTION = (
    "Exact Shapley values of the score over groups of words, on {texts} held-out completions of {prompts} prompts; a group is "
    "taken away by deleting its words. Left: share of the mean absolute attribution, with two standard errors over prompts. "
    "Right: mean attribution in standard deviations of each model's own scores; left of zero, the words cost score."
)
# marker, colour, size, label
LOOKS = {
    "member": ("o", QUIET, 5.0, "member"),
    "warm": ("s", PROXY, 6.5, "WARM's average"),
    "gold": ("D", GOLD, 6.5, "gold"),
}


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None where nothing was attributed."""
    found = record.importance
    if not found or not of_kind(found, "member"):
        return None
    groups, rows = order(found), drawn(found)
    places = np.arange(len(groups))[::-1].astype(float)
    figure, (left, right) = new(1.5 + 0.1 * len(groups) * max(4, len(rows)), columns=2)
    right.axvline(0, color=QUIET, linewidth=1, zorder=1)
    labelled: set[str] = set()
    for i, row in enumerate(rows):
        shift = 0.33 * (1 - 2 * i / max(1, len(rows) - 1))
        marker, colour, size, label = LOOKS[row["kind"]]
        look = {"marker": marker, "color": colour, "markersize": size, "linestyle": "none"}
        values, errors = _of(row, "share", groups), _of(row, "error", groups)
        left.errorbar(
            100 * values, places + shift, xerr=200 * np.nan_to_num(errors), elinewidth=1.1,
            label=None if row["kind"] in labelled else label, zorder=2 + (row["kind"] != "member"), **look,
        )  # fmt: skip
        right.plot(_of(row, "attribution", groups), places + shift, zorder=2 + (row["kind"] != "member"), **look)
        labelled.add(row["kind"])
    for axis in (left, right):
        axis.set_yticks(places, groups if axis is left else [""] * len(groups))
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(-0.5, len(groups) - 0.5)
        axis.grid(False, axis="y")
        for place in places[:-1]:
            axis.axhline(place - 0.5, color=FAINT, linewidth=0.7, zorder=0)
    left.set_xlim(left=0)
    left.set_xlabel("share of importance, %")
    right.set_xlabel("mean attribution, SD")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure, CAPTION.format(texts=found["texts"], prompts=found["prompts"])


def _of(row: dict[str, Any], key: str, groups: list[str]) -> np.ndarray:
    return np.array([row[key][g] for g in groups], dtype=float)
