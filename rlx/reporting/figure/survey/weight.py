"""What the penalty's weight does: accuracy and agreement with the truth, a curve per reference."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from rlx.reporting.figure.style import BAD, GOOD, PROXY, QUIET, THIRD, EndLabel, label_ends, new

TITLE = "What the weight of the penalty does"
ABSENT = "it takes two weights."
CAPTION = (
    "Means over {seeds} seeds with 95 % intervals, by the weight of the penalty; "
    "the leftmost point is the network without it. Left: R² on test rows. Right: {right}."
)
COLOURS = {"models": PROXY, "truth": GOOD, "wrong": BAD, "given": THIRD}
TO_TRUTH, AMONG = (
    "Kendall's tau of the factors' order to the true one",
    "Kendall's tau among the linear, the additive model and the network",
)


def draw(found: Mapping[str, Any]) -> tuple[Figure, str] | None:
    """The figure and its caption; None for a single weight."""
    weights = sorted({entry["weight"] for entry in found["models"].values() if entry["reference"]})
    if len(weights) < 2:
        return None
    second = "tau_truth" if found["truth"] else "tau_models"
    figure, panels = new(3.4, columns=2)
    for axis, key, title in zip(
        panels, ("r2", second), ("R²", "tau to the truth" if found["truth"] else "tau among models"), strict=True
    ):
        ends = []
        for reference in found["references"]:
            entries = [found["models"]["mlp"]] + [
                entry for entry in found["models"].values() if entry["reference"] == reference
            ]
            entries = [entry for entry in entries if key in entry]
            x = [weights[0] ** 2 / weights[1] if entry["reference"] is None else entry["weight"] for entry in entries]
            y = [entry[key]["value"] for entry in entries]
            if not entries:
                continue
            colour = COLOURS[reference]
            axis.plot(x, y, color=colour, marker="o", zorder=3)
            if all(entry[key]["low"] is not None for entry in entries):
                low, high = ([entry[key][bound] for entry in entries] for bound in ("low", "high"))
                axis.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
            ends.append(EndLabel(x[-1], y[-1], reference, colour))
        axis.axhline(
            found["models"]["mlp"][key]["value"] if key in found["models"]["mlp"] else 0, color=QUIET, linewidth=1
        )
        axis.set_xscale("log")
        axis.set_xticks([weights[0] ** 2 / weights[1], *weights], ["0", *(f"{w:g}" for w in weights)], fontsize=9)
        axis.minorticks_off()
        axis.set_xlabel("weight")
        axis.set_title(title, loc="left")
        label_ends(axis, ends, size=10)
    return figure, CAPTION.format(seeds=len(found["settings"]["seeds"]), right=TO_TRUTH if found["truth"] else AMONG)
