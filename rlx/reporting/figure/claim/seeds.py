"""Both arms of a claim on every data seed, joined by a line, and the difference beside them."""

from typing import NamedTuple

from matplotlib.figure import Figure

from rlx.comparison.claim import Finding
from rlx.comparison.measure import MEASURES
from rlx.core.claim import Claim
from rlx.reporting.figure.style import GOLD, INK, PROXY, QUIET, new, zero_line

TITLE = "Data seed by data seed"
ABSENT = "no data seed has both arms."
CAPTION = (
    "Left: {measure} of both arms, a line for each data seed{matched}. Right: their differences, with the mean and its 95 % "
    "interval; the band is the smallest effect of interest, ± {delta:g}."
)


class Judged(NamedTuple):
    """What the figures of a claim are drawn of."""

    claim: Claim
    finding: Finding


def draw(judged: Judged) -> tuple[Figure, str] | None:
    """The figure and its caption; None without a data seed to compare."""
    claim, finding = judged
    if not finding.units:
        return None
    figure, (arms, differences) = new(3.4, columns=2)
    for unit in finding.units:
        arms.plot([0, 1], [unit.second, unit.first], color=QUIET, linewidth=1.2, zorder=2)
    arms.plot([0] * len(finding.units), [unit.second for unit in finding.units], "o", color=PROXY, zorder=3)
    arms.plot([1] * len(finding.units), [unit.first for unit in finding.units], "o", color=GOLD, zorder=3)
    arms.set_xlim(-0.4, 1.4)
    arms.set_xticks([0, 1], [claim.contrast[1], claim.contrast[0]])
    arms.set_title(MEASURES[claim.measure][0], loc="left")
    found = finding.verdict
    differences.axhspan(-claim.smallest_effect, claim.smallest_effect, color=QUIET, alpha=0.15, linewidth=0)
    zero_line(differences)
    differences.plot([0] * len(finding.units), [unit.difference for unit in finding.units], "o", color=QUIET, zorder=3)
    if found.low is not None and found.high is not None:
        differences.errorbar([0.5], [found.value], yerr=[[found.value - found.low], [found.high - found.value]],
                             fmt="D", color=INK, capsize=4, zorder=4)  # fmt: skip
    differences.set_xlim(-0.4, 0.9)
    differences.set_xticks([0, 0.5], ["each", "mean"])
    differences.set_title(f"{claim.contrast[0]} − {claim.contrast[1]}", loc="left")
    matched = ", averaged over the strengths that both reach" if claim.match is not None else ""
    return figure, CAPTION.format(measure=MEASURES[claim.measure][0], matched=matched, delta=claim.smallest_effect)
