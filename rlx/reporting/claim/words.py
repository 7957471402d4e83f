"""What a claim's runs have shown, in sentences."""

from rlx.comparison.claim import Finding, NeedFound
from rlx.comparison.measure import MEASURES
from rlx.comparison.paired import MAX_SEEDS
from rlx.comparison.verdict import Word
from rlx.core.claim import Claim, Match
from rlx.reporting.verdict import Tone, bounds, number

TONES: dict[Word, Tone] = {
    "holds": "better",
    "reversed": "worse",
    "equivalent": "caution",
    "not distinguishable": "unclear",
    "not testable here": "unclear",
    "too few runs": "unclear",
}
MEANING: dict[Word, str] = {
    "holds": "the difference has the claimed sign, and 0 is excluded at 5 %",
    "reversed": "the difference has the other sign, and 0 is excluded at 5 %",
    "equivalent": "a difference as large as the smallest effect of interest is excluded at 5 %",
    "not distinguishable": "neither a difference of 0 nor one that matters can be excluded",
    "not testable here": "what the claim needs (headroom, a regime) is not there in the lab",
    "too few runs": "fewer than three data seeds could be compared",
}


def headline(claim: Claim, finding: Finding) -> str:
    """`Holds: +0.25 SD [0.07, 0.43]`, without the numbers where there are none."""
    found = finding.verdict
    word = f"{found.word[0].upper()}{found.word[1:]}"
    return word if found.low is None else f"{word}: {difference(claim, finding)}"


def difference(claim: Claim, finding: Finding) -> str:
    """The difference with its 95 % interval; an admission where there is none."""
    found = finding.verdict
    if not finding.units:
        return "no run to compare"
    value = fine(claim, found.value, plus=True)
    if found.low is None or found.high is None:
        return f"{value} (no interval)"
    return f"{value} [{fine(claim, found.low)}, {fine(claim, found.high)}]"


def fine(claim: Claim, value: float, plus: bool = False) -> str:
    """With three decimals where the smallest effect of interest is .1 or less: whether a bound excludes 0 can be seen."""
    if claim.smallest_effect > 0.1 or abs(value) >= 100:
        return number(value, plus)
    return f"{round(value, 3) + 0.0:{'+' if plus else ''}.3f}".replace("-", "−")


def sentences(claim: Claim, finding: Finding, seeds: list[int]) -> list[str]:
    """What was compared, on how many data seeds, what it means, what is lacking, and whether the lab can tell."""
    first, second = claim.contrast
    found, measure = finding.verdict, MEASURES[claim.measure][0]
    said = [
        f"{first} − {second} in {measure}: {difference(claim, finding)}, over {found.num} of {len(seeds)} declared data seeds."
    ]
    if claim.match is not None:
        what = "KL to the start" if claim.match.along == "kl" else "proxy gain"
        said.append(
            f"Both are compared at the same {what}: {claim.match.key} is {strengths(claim.match)}, and the measure is interpolated "
            "over the range that both reach."
        )
    if found.word == "not distinguishable":
        more = f"more than {MAX_SEEDS:,}" if found.needed is None else f"about {max(found.needed, found.num + 1)}"
        said.append(f"A difference of this size and spread would take {more} data seeds.")
    if found.why:
        said.append(f"{found.why[0].upper()}{found.why[1:]}.")
    if finding.lacking:
        said.append(f"Not compared: {'; '.join(finding.lacking)}.")
    return said


def strengths(match: Match) -> str:
    """`0.02, 0.05 (soup) and 0.01, 0.02 (frozen)`."""
    return " and ".join(
        f"{', '.join(f'{value:g}' for value in values)} ({arm})" for arm, values in match.values.items()
    )


def need(one: NeedFound) -> str:
    """`judge, gold, SD over the start: 2.10 [1.95, 2.25], at least 1: met`."""
    name, state = MEASURES[one.need.measure][0], "met" if one.met else f"not met: {one.need.why}"
    return (
        f"{one.need.arm}, {name}: {number(one.value)}{bounds(one.low, one.high)}, at least {one.need.least:g}: {state}"
    )


def expected(claim: Claim) -> str:
    """What the paper says of the first arm."""
    first, second = claim.contrast
    measure = MEASURES[claim.measure][0].partition(",")[0]  # without its unit
    return {"more": f"{first} has more {measure} than {second}", "less": f"{first} has less {measure} than {second}",
            "same": f"{first} and {second} have the same {measure}"}[claim.expect]  # fmt: skip
