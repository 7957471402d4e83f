"""The weights of flipped and of right labels, and how well they tell the two apart beside the small loss."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.reporting.figure.style import BAD, GOLD, GOOD, PROXY, QUIET, new
from rlx.run.record import RunRecord

TITLE = "Which pairs were trusted"
ABSENT = "it takes a cleaner."
CAPTION = (
    "Left: how many training pairs have which weight. Right: the share of right labels kept beside the share of flipped ones "
    "kept, as the threshold falls; the area is the AUC, and the diagonal is a ranking that knows nothing. Grey, a ceiling: "
    "the loss under a score on the same features that an oracle fitted without the flipped pairs."
)
UNKNOWN = "How many training pairs have which weight. No label was flipped, so nothing says which of them are right."
CURVES = (("oracle_loss", "oracle's loss", QUIET), ("small_loss", "small loss", PROXY), ("weights", "weights", GOLD))


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None where all pairs count alike."""
    told = record.cleaning
    if not told:
        return None
    flips = told["flips"]
    figure, axes = new(3.2, columns=2 if flips else 1)
    _weights(axes[0], told["histogram"], told["flipped"])
    if flips is None:
        return figure, UNKNOWN
    axis = axes[1]
    axis.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=":")
    for key, name, colour in CURVES:
        axis.plot(*flips[key]["roc"], color=colour, label=f"{name}, {flips[key]['auc']:.2f}")
    axis.set_xlabel("flipped labels kept")
    axis.set_ylabel("right labels kept")
    axis.set_aspect("equal")
    axis.legend(title="AUC", loc="lower right", frameon=False, fontsize=9, title_fontsize=9)
    return figure, CAPTION


def _weights(axis: Axes, histogram: dict[str, list[float]], flipped: int) -> None:
    edges = np.array(histogram["edges"])
    right, wrong = np.array(histogram["right"]), np.array(histogram["flipped"])
    axis.stairs(right, edges, color=GOOD, fill=True, alpha=0.35, label="right labels" if flipped else None)
    if flipped:
        axis.stairs(wrong, edges, color=BAD, linewidth=1.8, label="flipped labels")
        axis.legend(loc="upper left", frameon=False, fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_xlabel("weight")
    axis.set_ylabel("pairs")
