"""The page of a sweep's policies as decoders draw from them: gold, and how much of the gap each closes."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rlx.comparison.decoders import CEILING, DecodedRow
from rlx.comparison.ratio import Ratio
from rlx.metric.interval import mean_interval
from rlx.reporting.figure.gallery import FigureFile
from rlx.reporting.verdict import bounds, number

HEADINGS = ("policy", "gold", "over the untuned", "gap closed", "of the ceiling's gold")


def render_decoders(
    name: str, rows: Sequence[DecodedRow], experts: Sequence[str], figures: Sequence[FigureFile]
) -> str:
    """Return the page. `experts`: how they were named on the command line."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("decoders.html.jinja").render(
        name=name,
        experts=experts,
        num=rows[0].gold.num,
        kind=rows[0].gold.kind,
        headline=headline(rows),
        sentences=sentences(rows),
        headings=HEADINGS,
        rows=cells(rows),
        figures=[
            (figure.title, figure.caption, base64.b64encode(figure.path.read_bytes()).decode())
            for figure in figures
            if figure.path
        ],
    )


def headline(rows: Sequence[DecodedRow]) -> str:
    """What can be said of the gap."""
    ceiling = next(row for row in rows if row.name == CEILING)
    if ceiling.over_base is None or not ceiling.over_base.distinguishable or ceiling.over_base.value < 0:
        return "No gap to close: tuning the large policy directly was not measured to gain gold"
    decoded = [row for row in rows if row.closed is not None and not row.name.startswith("expert ")]
    found = [row for row in decoded if row.closed and row.closed.value is not None]
    if not found:
        return "Nothing can be said yet"
    best = max(found, key=lambda row: row.gold.value)
    assert best.closed is not None
    return f"{best.name} closes {_share(best.closed)} of the gap to the large policy tuned directly"


def sentences(rows: Sequence[DecodedRow]) -> list[str]:
    """Each decoder against the untuned large policy, and pairs of decoders that the intervals tell apart."""
    lines = []
    for row in rows:
        if row.over_base is None or row.name == CEILING:
            continue
        word = (
            "is not told apart from the untuned large policy"
            if not row.over_base.distinguishable
            else f"has {'more' if row.over_base.value > 0 else 'less'} gold than the untuned large policy"
        )
        lines.append(f"{row.name[0].upper()}{row.name[1:]} {word}: {_difference(row)}.")
    return lines


def cells(rows: Sequence[DecodedRow]) -> list[tuple[str, ...]]:
    """The table."""
    return [
        (
            row.name,
            number(row.gold.value) + ("" if row.gold.alike else bounds(*mean_interval(row.gold.values_U))),
            "" if row.over_base is None else _difference(row),
            "" if row.closed is None else _share(row.closed),
            "" if row.of_ceiling is None else _share(row.of_ceiling),
        )
        for row in rows
    ]


def _difference(row: DecodedRow) -> str:
    found = row.over_base
    assert found is not None
    low_high = "" if found.low is None or found.high is None else bounds(found.low, found.high)
    return f"{number(found.value, plus=True)}{low_high}"


def _share(found: Ratio) -> str:
    if found.value is None or found.low is None or found.high is None:
        return f"refused: {found.refused}"
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"
