"""All claims in one picture: each difference with its interval, in units of its smallest effect of interest."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from rlx.comparison.claim import Finding
from rlx.comparison.verdict import Word
from rlx.core.claim import Claim
from rlx.reporting.figure.style import BAD, GOLD, GOOD, QUIET, THIRD, WIDTH, new

TITLE = "The claims"
ABSENT = "no claim has runs to compare."
CAPTION = (
    "Each claim's difference with its 95 % interval over data seeds, in units of its smallest effect of interest, so that the "
    "band from −1 to 1 is too small to matter. To the right is what the paper says, whatever the sign of its measure. The word "
    "is the verdict after Holm's correction over all claims shown, and the verdict by itself where "
    "that differs. An arrow marks an interval that goes on beyond the frame."
)
LOOK: dict[Word, tuple[str, str]] = {  # colour, marker
    "holds": (GOOD, "o"),
    "reversed": (BAD, "D"),
    "equivalent": (GOLD, "s"),
    "not distinguishable": (QUIET, "o"),
    "not testable here": (THIRD, "v"),
}
MOST = 12.0  # units at the frame's edge, at most


class Row(NamedTuple):
    """A claim, what was found, and its verdict among all."""

    claim: Claim
    finding: Finding
    word: Word


def draw(rows: Sequence[Row]) -> tuple[Figure, str] | None:
    """The figure and its caption; None where no claim has an interval."""
    known = [row for row in rows if row.finding.verdict.low is not None]
    if not known:
        return None
    figure, (axis,) = new(0.9 + 0.42 * len(known))
    figure.set_size_inches(WIDTH * 1.35, 0.9 + 0.42 * len(known))
    spans = [oriented(row) for row in known]
    edge = min(MOST, 1.1 * max(3.0, *(abs(x) for span in spans for x in span)))
    axis.axvspan(-1, 1, color=QUIET, alpha=0.15, linewidth=0)
    axis.axvline(0, color=QUIET, linewidth=1)
    for place, (row, (value, low, high)) in enumerate(zip(known, spans, strict=True)):
        y, (colour, mark) = -place, LOOK[row.word]
        axis.plot([max(low, -edge), min(high, edge)], [y, y], color=colour, linewidth=2)
        for beyond, x, marker in ((low < -edge, -edge, "<"), (high > edge, edge, ">")):
            if beyond:
                axis.plot([x], [y], marker=marker, color=colour, markersize=6, clip_on=False)
        axis.plot([min(max(value, -edge), edge)], [y], marker=mark, color=colour, markersize=6.5)
        own = row.finding.verdict.word
        said = row.word if row.word == own else f"{row.word} (alone: {own})"
        axis.annotate(said, (1.01, y), xycoords=("axes fraction", "data"), va="center", color=colour, fontsize=9.5)
    axis.set_yticks([-place for place in range(len(known))], [row.claim.title for row in known], fontsize=9.5)
    axis.set_ylim(-len(known) + 0.4, 0.6)
    axis.set_xlim(-edge, edge)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("against the claim   ←   difference / smallest effect of interest   →   as claimed", fontsize=10)
    return figure, CAPTION


def oriented(row: Row) -> tuple[float, float, float]:
    """(value, low, high) in smallest effects of interest, turned so that more is as the paper says."""
    found = row.finding.verdict
    assert found.low is not None and found.high is not None
    unit = row.claim.smallest_effect
    if row.claim.expect == "less":
        return -found.value / unit, -found.high / unit, -found.low / unit
    return found.value / unit, found.low / unit, found.high / unit
