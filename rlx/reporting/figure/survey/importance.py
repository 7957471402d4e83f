"""What each model of a survey calls primary: the share of importance of every factor, the primary ones filled."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rlx.attribution.importance import primary
from rlx.reporting.figure.style import BAD, FAINT, GOLD, GOOD, INK, PROXY, QUIET, THIRD, new

TITLE = "What each model calls primary"
ABSENT = "it takes one fit of every model."
CAPTION = (
    "Share of the mean absolute Shapley value on test rows, mean over {seeds} seeds; bars span two standard deviations over seeds. "
    "Filled: primary, the fewest factors that hold {mass:.0f} % of the importance together. Hollow: secondary."
)
MASS = 0.8
LOOKS = {
    ("linear", None): ("v", QUIET, "linear"),
    ("gam", None): ("s", THIRD, "additive (GAM)"),
    ("mlp", None): ("o", INK, "network"),
    ("mlp", "models"): ("P", PROXY, "held to the other models"),
    ("mlp", "truth"): ("^", GOOD, "held to the truth"),
    ("mlp", "wrong"): ("X", BAD, "held to a wrong order"),
    ("mlp", "given"): ("p", PROXY, "held to the prior"),
}


def draw(found: Mapping[str, Any]) -> tuple[Figure, str] | None:
    """The figure and its caption."""
    groups, entries = ordered(found), shown(found)
    num = len(entries) + bool(found["truth"])
    places = np.arange(len(groups))[::-1].astype(float)
    figure, (axis,) = new(1.6 + 0.085 * len(groups) * max(4, num))
    handles = []
    for i, entry in enumerate(entries):
        marker, colour, label = LOOKS[entry["model"], entry["reference"]]
        shift = 0.34 * (1 - 2 * i / max(1, num - 1))
        _marks(axis, [entry["share"][g] for g in groups], places + shift, marker, colour, entry["share_sd"], groups)
        handles.append(_key(marker, colour, label))
    if truth := found["truth"]:
        _marks(axis, [truth[g] for g in groups], places - 0.34, "D", GOLD, None, groups)
        handles.append(_key("D", GOLD, "the truth"))
    axis.set_yticks(places, groups)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.5, len(groups) - 0.5)
    axis.grid(False, axis="y")
    for place in places[:-1]:
        axis.axhline(place - 0.5, color=FAINT, linewidth=0.7, zorder=0)
    axis.set_xlim(left=-0.02 * axis.get_xlim()[1])  # no share is below 0, but a marker at 0 has a left half
    axis.set_xlabel("share of importance, %")
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    return figure, CAPTION.format(seeds=len(found["settings"]["seeds"]), mass=100 * MASS)


def _marks(axis: Any, shares_G: list[float], places: np.ndarray, marker: str, colour: str, sd: Any, groups: list[str]):
    first = primary(shares_G, MASS)
    for g, (share, place) in enumerate(zip(shares_G, places, strict=True)):
        if sd is not None:
            half = sd[groups[g]]
            axis.plot([100 * (share - half), 100 * (share + half)], [place] * 2, color=colour, linewidth=1, zorder=2)
        face = colour if g in first else "white"
        axis.plot(100 * share, place, marker=marker, color=colour, markerfacecolor=face, markersize=6, zorder=3)


def _key(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color=colour, linestyle="none", markersize=6, label=label)


def shown(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The plain models, and each reference at its chosen weight."""
    return [entry for entry in found["models"].values() if entry["reference"] is None or entry["chosen"]]


def ordered(found: Mapping[str, Any]) -> list[str]:
    """The factors, most important first: by the truth, else by the mean of the plain models."""
    plain = [entry["share"] for entry in found["models"].values() if entry["reference"] is None]
    by = [found["truth"]] if found["truth"] else plain
    return sorted(found["groups"], key=lambda g: -sum(shares[g] for shares in by))
