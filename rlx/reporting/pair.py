"""Two runs against each other as one HTML page; every text that a model or a user wrote is escaped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlx.comparison.pair import Row, Versus, start_of, versus
from rlx.metric.length_control import MIN_PROMPTS
from rlx.reporting.description import describe
from rlx.reporting.evidence import Estimate, guesses
from rlx.reporting.figure.gallery import FigureFile
from rlx.reporting.judges import about_gold, about_limit
from rlx.reporting.page import drawn, page
from rlx.reporting.rendering import Tile
from rlx.reporting.sample import NUM_SHOWN, plain, spans
from rlx.reporting.verdict import GUESSES, Tone, bounds, direction, number, percent
from rlx.run.name import content, differences
from rlx.run.record import RunRecord


def render_pair(
    first: RunRecord,
    second: RunRecord,
    found: Versus,
    pairs: Sequence[tuple[Row, Row]],
    notes: Sequence[str],
    title: str = "Two runs against each other",
    figures: Sequence[FigureFile] = (),
) -> str:
    """Return the page. `notes` say what a reader has to know of the samples and of gold. Of the figures, those that were
    drawn are shown."""
    headline, tone = pair_verdict(found)
    if tone != "unclear" and guesses(first):
        headline, tone = f"{headline}, {GUESSES}", "caution"
    return page(
        "pair.html.jinja",
        runs=[("A", first.path.name, describe(first)), ("B", second.path.name, describe(second))],
        title=title,
        headline=headline,
        tone=tone,
        sentences=sentences(found, rewarded=not (first.external or second.external)),
        tiles=tiles(found),
        notes=notes,
        unlike=unlike(first, second),
        samples=shown(pairs),
        num=found.num,
        directories=[str(record.path) for record in (first, second)],
        figures=drawn(figures),
    )


def render_against_start(record: RunRecord, figures: Sequence[FigureFile] = ()) -> str:
    """The page of a policy beside the policy that it was trained from, of the samples of its measurement."""
    pairs: list[tuple[Row, Row]] = [(row, start_of(row)) for row in record.final_samples().values()]
    start = record.config["start"]
    other = replace(record, path=Path(start), config={**record.config, "policy": start, "decoder": None})
    notes = [line for line in (about_gold(record), *about_limit(record)) if line]
    title = "A decoded policy against the start" if record.config.get("decoder") else "A policy against its start"
    return render_pair(record, other, versus(pairs, with_proxy=False), pairs, notes, title, figures)


def pair_verdict(found: Versus) -> tuple[str, Tone]:
    """What the mean difference in gold and the win rate bear together."""
    if found.num < MIN_PROMPTS:
        return f"Too few prompts to say which is better: {found.num} of at least {MIN_PROMPTS}", "unclear"
    gold, won = direction(Estimate(*found.gold), 0.0), direction(Estimate(*found.win_rate), 0.5)
    if gold * won < 0:
        return "Mixed: the mean of gold and the win rate point in opposite directions", "caution"
    if not gold and not won:
        return "A and B cannot be told apart", "unclear"
    word = "A has more gold than B" if gold + won > 0 else "A has less gold than B"
    if gold and won:
        return word, "better" if gold > 0 else "worse"
    how = (
        "on average, but not measurably prompt by prompt"
        if gold
        else "more often than not, but not measurably on average"
    )
    return f"{word} {how}", "caution"


def sentences(found: Versus, rewarded: bool) -> list[str]:
    """The numbers behind the headline. `rewarded`: whether both are runs, which a proxy has rewarded."""
    lines = [
        f"A wins {percent(Estimate(*found.win_rate))} of {found.num} common held-out prompts, by gold; a tie counts half.",
        f"Gold, A minus B: {_with_bounds(found.gold)} {found.unit}.",
    ]
    if found.win_rate_length_controlled is not None:
        lines.append(
            f"With the difference in length taken out, A wins {percent(Estimate(*found.win_rate_length_controlled))}."
        )
    if not rewarded:
        return lines
    proxy = (
        "The proxies are not comparable: the runs were rewarded by different models."
        if found.proxy is None
        else f"Proxy, A minus B: {_with_bounds(found.proxy)} SD of the reference set."
    )
    return [*lines, proxy]


def tiles(found: Versus) -> list[Tile]:
    """The numbers that a decision starts from."""
    share, gold = Estimate(*found.win_rate), Estimate(*found.gold)
    value, _, interval = percent(share).partition(" [")
    made = [
        Tile("A wins", value, "of prompts, by gold", f"[{interval}"),
        Tile("gold, A minus B", number(gold.value, plus=True), found.unit, bounds(gold.low, gold.high).strip()),
    ]
    if found.win_rate_length_controlled is not None:
        value, _, interval = percent(Estimate(*found.win_rate_length_controlled)).partition(" [")
        made.append(Tile("A wins at equal length", value, "of prompts, by gold", f"[{interval}"))
    a, b = found.lengths
    return [*made, Tile("length, A and B", f"{a:.1f} · {b:.1f}", f"{found.length_unit} per completion")]


def unlike(first: RunRecord, second: RunRecord) -> list[tuple[str, str, str]]:
    """Settings that the two runs do not share, with both values, their seed included."""
    one_config, other_config = (
        {**content(record.config), "seed": record.config.get("seed")} for record in (first, second)
    )
    rows = []
    for line in differences(one_config, other_config):
        key, _, values = line.partition(" (")
        one, _, other = values.removesuffix(" now)").partition(" there, ")
        rows.append((key, one, other))
    return rows


def shown(pairs: Sequence[tuple[Row, Row]]) -> list[dict[str, Any]]:
    """Prompts by rank of the difference in gold: the largest for B, quartiles, the largest for A."""
    ranked = sorted(pairs, key=lambda pair: (pair[0]["gold"] - pair[1]["gold"], pair[0]["prompt_id"]))
    last = len(ranked) - 1
    return [
        {
            "place": f"rank {rank + 1} of {last + 1} by gold of A minus B",
            "prompt": plain(ranked[rank][0]["prompt"]),
            "sides": [(title, _side(row)) for title, row in zip("AB", ranked[rank], strict=True)],
            "difference": number(ranked[rank][0]["gold"] - ranked[rank][1]["gold"], plus=True),
        }
        for rank in sorted({round(i * last / (NUM_SHOWN - 1)) for i in range(NUM_SHOWN)})
    ]


def _side(row: Row) -> dict[str, Any]:
    length = f" · {row['length']} tokens" if "length" in row else ""
    return {
        "note": f"gold {number(row['gold'])}{length}",
        "spans": spans(row["completion"]),
        "ended": bool(row.get("ended", True)),
    }


def _with_bounds(estimate: tuple[float, float, float]) -> str:
    value, low, high = estimate
    return number(value, plus=True) + bounds(low, high)
