"""What each axis does to gold: every difference of two of its values, with its interval and the seeds it is made of."""

from matplotlib.figure import Figure

from rlx.comparison.sweep import GOLD as MEASURE
from rlx.comparison.sweep import AxisDifference, SweepComparison
from rlx.reporting.figure.style import BAD, GOOD, INK, QUIET, new, zero_line

TITLE = "What each axis does to gold"
ABSENT = "it takes two finished cells of the same seed that differ in one axis."
CAPTION = (
    "Difference of final gold, in standard deviations of the start's completions, between two values of an axis: mean over "
    "{units} with its 95 % interval, pair by pair. Green: the first is better; red: worse; grey: not distinguishable at this "
    "number of them. An open point has no interval: there is one, or they make no difference.{scope}"
)
ONE_DATA_SEED = " A difference over run seeds is about one set of data and reward models, not about others."


def draw(comparison: SweepComparison) -> tuple[Figure, str] | None:
    """The figure and its caption; None without a pair."""
    found = [one for one in comparison.differences if one.measure == MEASURE]
    if not found:
        return None
    axes_names = list(dict.fromkeys(one.axis for one in found))
    rows: list[str | AxisDifference] = []
    for name in axes_names:
        rows += [name, *(one for one in found if one.axis == name)]
    figure, (axis,) = new(0.75 + 0.27 * len(rows))
    zero_line(axis)
    axis.axvline(0, color=QUIET, linewidth=1, zorder=1)
    for place, row in enumerate(rows):
        if isinstance(row, AxisDifference):
            _bar(axis, -place, row)
    labels = [row if isinstance(row, str) else f"{row.first} − {row.second}" for row in rows]
    axis.set_yticks([-place for place in range(len(rows))], labels)
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if isinstance(row, str) else "normal")
        label.set_fontsize(9.5)
    axis.set_ylim(-len(rows) + 0.4, 0.6)
    axis.grid(axis="y", visible=False)
    axis.lines[0].remove()  # the horizontal zero line has no meaning here
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("difference of gold, SD")
    kinds = sorted({one.difference.units.kind for one in found})
    units = " or (where one data seed is left) ".join(f"{kind}s" for kind in kinds)
    return figure, CAPTION.format(units=units, scope=ONE_DATA_SEED if "run seed" in kinds else "")


def _bar(axis, y: float, row: AxisDifference) -> None:
    difference = row.difference
    colour = QUIET if not difference.distinguishable else GOOD if difference.value > 0 else BAD
    if difference.low is not None:
        axis.plot(
            [difference.low, difference.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=2
        )
    face = "white" if difference.low is None else colour
    axis.plot([difference.value], [y], marker="o", color=INK if difference.low is None else colour, mfc=face, zorder=3)
