"""The grid as small multiples: a panel for each combination of the axes, all on the same scales."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.figure.style import GOLD, INK, PROXY, new, zero_line
from rlx.reporting.figure.sweep.frontier import limits

TITLE = "Cell by cell"
ABSENT = "it takes a cell with two evaluations of gold and proxy."
CAPTION = (
    "One panel for each combination, all on the same scales: gold (dark yellow, circles) and proxy (blue, squares), in standard "
    "deviations of the start's completions, against √KL from the start. Thick: mean over data "
    "seeds of the means of their runs; thin: each run.{absent}"
)
LINE = {1: 60, 2: 34, 3: 22, 4: 17}  # columns -> characters that a title has room for


def draw(comparison: SweepComparison) -> tuple[Figure, str] | None:
    """The figure and its caption; None without a curve, or with one combination only, which the frontier shows."""
    curves, means = comparison.curves, comparison.mean_curves
    if len(means) < 2:
        return None
    labels = comparison.sweep.labels
    columns = _columns([len(values) for values in comparison.sweep.axes.values()], len(labels))
    rows = -(-len(labels) // columns)
    titles = {label: _wrapped(label, LINE[columns]) for label in means}
    tallest = max(title.count("\n") + 1 for title in titles.values())
    figure, axes = new(0.5 + rows * (1.35 + 0.16 * tallest), rows=rows, columns=columns)
    x_limits, y_limits = limits(comparison)
    for place, axis in enumerate(axes):
        if place >= len(labels) or labels[place] not in means:
            axis.remove()
            continue
        label = labels[place]
        mean = means[label]
        zero_line(axis)
        for which, colour, marker in (("proxy_S", PROXY, "s"), ("gold_S", GOLD, "o")):
            for curve in curves[label] if len(curves[label]) > 1 else []:
                axis.plot(curve.distance_S, getattr(curve, which), color=colour, linewidth=0.7, alpha=0.4, zorder=2)
            axis.plot(mean.distance_S, getattr(mean, which), color=colour, marker=marker, markersize=3, zorder=3)
        axis.set_xlim(*x_limits)
        axis.set_ylim(*y_limits)
        axis.set_title(titles[label], loc="left", fontsize=9.5, color=INK)
        axis.tick_params(labelsize=9)
        if place % columns and labels[place - 1] in means:
            axis.tick_params(labelleft=False)
        if place + columns < len(labels) and labels[place + columns] in means:
            axis.tick_params(labelbottom=False)
    figure.supxlabel("√KL from the start (√nats)", fontsize=10.5)
    figure.supylabel("SD over the start", fontsize=10.5)
    missing = [label for label in labels if label not in means]
    absent = f" Not drawn, for want of two evaluations: {'; '.join(missing)}." if missing else ""
    return figure, CAPTION.format(absent=absent)


def _columns(counts: Sequence[int], num_labels: int) -> int:
    """As many as the last axes have combinations, so that a column is a setting, where those are 2 to 4; else 3."""
    product = 1
    for count in reversed(counts):
        if product * count > max(LINE):
            break
        product *= count
    if product == 2 and num_labels > 8:
        return 4  # two settings of the axis before side by side: half as tall
    return product if 2 <= product < num_labels else min(3, num_labels)


def _wrapped(label: str, width: int) -> str:
    """Broken after a dot between two values, never within one."""
    lines = [""]
    for part in label.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        lines = (
            [*lines[:-1], joined] if len(joined) <= width or not lines[-1] else [*lines[:-1], f"{lines[-1]} ·", part]
        )
    return "\n".join(lines)
