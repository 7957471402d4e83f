"""The page of a sweep's policies as decoders draw from them: gold, and how much of the gap each closes."""

from collections.abc import Sequence

from rlx.comparison.decoders import CEILING, EXPERT, DecodedRow, between
from rlx.comparison.paired import Difference
from rlx.comparison.ratio import Ratio
from rlx.metric.interval import mean_interval
from rlx.reporting.figure.gallery import FigureFile
from rlx.reporting.page import drawn, page
from rlx.reporting.verdict import bounds, number

HEADINGS = ("policy", "gold", "over the untuned", "over the best expert", "gap closed", "of the ceiling's gold")


def render_decoders(
    name: str, rows: Sequence[DecodedRow], experts: Sequence[str], figures: Sequence[FigureFile]
) -> str:
    """Return the page. `experts`: how they were named on the command line."""
    return page(
        "decoders.html.jinja",
        name=name,
        experts=experts,
        num=rows[0].gold.num,
        kind=rows[0].gold.kind,
        headline=headline(rows),
        sentences=sentences(rows),
        headings=HEADINGS,
        rows=cells(rows),
        figures=drawn(figures),
    )


def headline(rows: Sequence[DecodedRow]) -> str:
    """What can be said of the gap."""
    ceiling = next(row for row in rows if row.name == CEILING)
    if ceiling.over_base is None or not ceiling.over_base.distinguishable or ceiling.over_base.value < 0:
        return "No gap to close: tuning the large policy directly was not measured to gain gold"
    found = [row for row in rows if row.closed is not None and not row.name.startswith(EXPERT)]
    if not found or any(row.closed is None or row.closed.value is None for row in found):
        return "Nothing can be said yet: too few data seeds"
    return "; ".join(f"{row.name} closes {_share(row.closed)} of the gap" for row in found if row.closed)


def sentences(rows: Sequence[DecodedRow]) -> list[str]:
    """Each decoder against the untuned large policy and against the best of its experts alone."""
    lines = []
    for row in rows:
        if row.over_base is None or row.over_experts is None:
            continue
        lines.append(f"{row.name} against the untuned large policy: {_words(row.over_base)}.")
        lines.append(f"{row.name} against the expert alone that has the most gold: {_words(row.over_experts)}.")
    lines += [f"{one} against {other}: {_words(found)}." for one, other, found in between(rows)]
    if any(row.over_experts is not None and not row.over_experts.distinguishable for row in rows):
        lines.append(
            "Where a decoder cannot be told apart from an expert alone, the large policy's size has not been shown to add anything."
        )
    return lines


def _words(found: Difference) -> str:
    if not found.distinguishable:
        return f"cannot be told apart, {_difference(found)} gold"
    return f"{'more' if found.value > 0 else 'less'} gold, {_difference(found)}"


def cells(rows: Sequence[DecodedRow]) -> list[tuple[str, ...]]:
    """The table."""
    return [
        (
            row.name,
            number(row.gold.value) + ("" if row.gold.alike else bounds(*mean_interval(row.gold.values_U))),
            "" if row.over_base is None else _difference(row.over_base),
            "" if row.over_experts is None else _difference(row.over_experts),
            "" if row.closed is None else _share(row.closed),
            "" if row.of_ceiling is None else _share(row.of_ceiling),
        )
        for row in rows
    ]


def _difference(found: Difference) -> str:
    low_high = "" if found.low is None or found.high is None else bounds(found.low, found.high)
    return f"{number(found.value, plus=True)}{low_high}"


def _share(found: Ratio) -> str:
    if found.value is None or found.low is None or found.high is None:
        return f"refused: {found.refused}"
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"
