"""What a sweep has shown, in words that its intervals bear."""

from collections import Counter

from rlx.comparison.paired import MAX_SEEDS, MIN_SEEDS
from rlx.comparison.sweep import GOLD, AxisDifference, SweepComparison
from rlx.comparison.unit import Kind, Units
from rlx.reporting.evidence import gather
from rlx.reporting.verdict import Tone, Verdict, bounds, number, since_peak


def sweep_verdict(comparison: SweepComparison) -> Verdict:
    """The headline counts what can be told apart; the sentences say what that means and what it does not."""
    sweep, found = comparison.sweep, [one for one in comparison.differences if one.measure == GOLD]
    if not sweep.done:
        return Verdict("Nothing can be said yet", ("No cell is done.",), "unclear")
    told = [one for one in found if one.difference.distinguishable]
    sentences = [sentence(one) for one in found] if len(found) <= 3 else _by_axis(found)
    sentences += [_overoptimised(comparison), _scope(comparison, len(found))]
    return Verdict(_headline(comparison, found, told), tuple(s for s in sentences if s), _tone(found, told))


def sentence(one: AxisDifference) -> str:
    """`warm has more gold than single: +2.35 SD [1.96, 2.73] (3 data seeds, 4 settings each).`"""
    difference = one.difference
    size = f"{number(difference.value, plus=True)} SD{bounds(difference.low, difference.high)}"
    over = f"{counted(difference.units)}{f', {one.settings} settings each' if one.settings > 1 else ''}"
    pair = f"{name(one.axis, one.first)} and {name(one.axis, one.second)}"
    if difference.distinguishable:
        word = "more" if difference.value > 0 else "less"
        return f"{name(one.axis, one.first)} has {word} gold than {name(one.axis, one.second)}: {size} ({over})."
    value, kind = number(difference.value, plus=True), difference.units.kind
    if difference.num == 1:
        return f"{pair}: {value} SD with one {kind}, which says nothing about others."
    if difference.low is None:
        return f"{pair}: {value} SD in every {kind} alike; only other data seeds can tell more."
    if difference.num < MIN_SEEDS:
        return f"{pair}: {size} ({over}), too few for a claim; {needed(one)}."
    return f"{pair} are not distinguishable at {over}: {size}; {needed(one)}."


def needed(one: AxisDifference) -> str:
    """How many units a difference as measured would take."""
    seeds, kind = one.difference.needed, one.difference.units.kind
    if seeds is None:
        return f"a difference as small as this would take more than {MAX_SEEDS:,} {kind}s"
    return f"a difference of this size and spread would take about {max(seeds, one.difference.num + 1)} {kind}s"


def in_short(one: AxisDifference) -> str:
    """The last column of the table of differences."""
    difference = one.difference
    if difference.distinguishable:
        return f"{one.first if difference.value > 0 else one.second} is higher"
    if difference.num == 1:
        return f"one {difference.units.kind}: no interval"
    if difference.low is None:
        return f"the same in every {difference.units.kind}"
    if difference.num < MIN_SEEDS:
        return f"{counted(difference.units)}: too few for a claim"
    seeds = "more than 1,000" if difference.needed is None else f"about {max(difference.needed, difference.num + 1)}"
    return f"not distinguishable at {counted(difference.units)}; needs {seeds}"


def name(axis: str, value: str) -> str:
    """`reward=warm`, also for a value that was left to its default."""
    return f"{axis}={value or '(default)'}"


def overoptimised(comparison: SweepComparison) -> Counter[str]:
    """Label -> finished cells whose gold fell measurably from its peak while the proxy rose."""
    found: Counter[str] = Counter()
    for cell in comparison.sweep.done:
        evidence = gather(cell.run) if cell.run else None
        if evidence is not None and since_peak(evidence)[1]:
            found[cell.label] += 1
    return found


def _headline(comparison: SweepComparison, found: list[AxisDifference], told: list[AxisDifference]) -> str:
    if not found:
        return f"{len(comparison.sweep.done)} cells are done, of which no two can be compared seed by seed"
    if len(found) == 1:
        return sentence(found[0]).split(":")[0].removesuffix(".")
    kind = comparison.kind
    num = len({data_seed if kind == "data seed" else seed for seed, data_seed in comparison.runs})
    return f"{len(told)} of {len(found)} differences of gold can be told from chance at {_many(num, kind)}"


def _tone(found: list[AxisDifference], told: list[AxisDifference]) -> Tone:
    return "unclear" if not told else "better" if len(told) == len(found) else "caution"


def _by_axis(found: list[AxisDifference]) -> list[str]:
    lines = []
    for axis in dict.fromkeys(one.axis for one in found):
        own = [one for one in found if one.axis == axis]
        if len(own) == 1:
            lines.append(sentence(own[0]))
            continue
        told = [one for one in own if one.difference.distinguishable]
        largest = max(told or own, key=lambda one: abs(one.difference.value))
        lines.append(
            f"{axis}: {len(told)} of {len(own)} pairs can be told apart, the largest of them: {sentence(largest)}"
        )
    return lines


def _overoptimised(comparison: SweepComparison) -> str:
    counts, total = overoptimised(comparison), len(comparison.sweep.done)
    if not counts:
        return f"In none of {total} finished cells is it shown that gold fell from its peak while the proxy rose."
    most = ", ".join(f"{label} ({count})" for label, count in counts.most_common(4))
    more = f" and {len(counts) - 4} more" if len(counts) > 4 else ""
    return (
        f"Over-optimised, gold falling measurably from its peak while the proxy rose: {counts.total()} of {total} cells, "
        f"{most}{more}."
    )


def _scope(comparison: SweepComparison, comparisons: int) -> str:
    """What the intervals do not cover."""
    text = ""
    if comparisons > 1:
        text = f"Of {comparisons} comparisons with nothing behind them, one in twenty would look like a difference. "
    if comparison.kind == "data seed":
        text += "Intervals count data seeds: runs that share one share its data and reward models, so they are averaged first. "
        if len(comparison.runs) == len({data_seed for _, data_seed in comparison.runs}):
            text += "With one run seed each, the luck of data and that of training cannot be told apart."
    elif len(comparison.runs) > 1:
        text += (
            "All cells share one data seed, so this result is about one set of data and reward models: intervals count run "
            "seeds and tell of the luck of training, not of other reward models (that takes data_seed=0,1,2)."
        )
    return text.strip()


def counted(units: Units) -> str:
    """`3 data seeds`: which unit n counts."""
    return _many(units.num, units.kind)


def components(units: Units) -> str:
    """SD between data seeds | between run seeds of one data seed: `0.98 | 0.31`."""
    if units.num == units.runs == 1:
        return ""
    if units.kind == "data seed" and units.within is None:
        return f"{units.sd:.2f} together"
    between, within = ("?" if sd is None else f"{sd:.2f}" for sd in (units.between, units.within))
    return f"{between} | {within}"


def _many(count: int, kind: Kind) -> str:
    return f"one {kind}" if count == 1 else f"{count} {kind}s"
