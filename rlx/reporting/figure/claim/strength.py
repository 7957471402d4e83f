"""The measure of both arms along their strength: sqrt(KL to the start), or the proxy's gain."""

from matplotlib.figure import Figure

from rlx.comparison.measure import MEASURES
from rlx.reporting.figure.claim.seeds import Judged
from rlx.reporting.figure.style import GOLD, PROXY, EndLabel, label_ends, new

TITLE = "At the same strength"
ABSENT = "the arms are compared as they are."
CAPTION = (
    "{measure} of every run over {along}, a line for each arm and data seed, a point for each value of {key}. The claim is about "
    "the difference between the colours where both have lines, averaged over that range."
)
ALONG = {"kl": "√KL to the start, √nats", "proxy": "proxy, SD over the start"}


def draw(judged: Judged) -> tuple[Figure, str] | None:
    """The figure and its caption; None for a claim whose arms are compared as they are."""
    claim, finding = judged
    if claim.match is None or not any(finding.points.values()):
        return None
    figure, (axis,) = new(3.8)
    ends = []
    for arm, colour, marker in zip(claim.contrast, (GOLD, PROXY), ("o", "s"), strict=True):
        lines = list(finding.points[arm].values())
        for points in lines:
            axis.plot(points.strength_P, points.measure_P, color=colour, marker=marker, linewidth=1.2, alpha=0.8)
        if lines:
            last = max(lines, key=lambda points: points.strength_P[-1])
            ends.append(EndLabel(float(last.strength_P[-1]), float(last.measure_P[-1]), arm, colour))
    axis.set_xlabel(ALONG[claim.match.along])
    axis.set_ylabel(MEASURES[claim.measure][0])
    label_ends(axis, ends)
    measure = f"{MEASURES[claim.measure][0][0].upper()}{MEASURES[claim.measure][0][1:]}"
    return figure, CAPTION.format(measure=measure, along=ALONG[claim.match.along], key=claim.match.key)
