"""The report as one HTML page: no script, no file beside it, and every text that a model or a user wrote is escaped."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from rlx.reporting import cleaning, importance, judges, table
from rlx.reporting.description import describe
from rlx.reporting.evidence import Evidence, gather
from rlx.reporting.figure.gallery import FigureFile
from rlx.reporting.page import page, pictures
from rlx.reporting.sample import BeforeAfter, Text, compare
from rlx.reporting.verdict import bounds, number, percent, verdict
from rlx.run.record import RunRecord

MAX_FACTORS = 10  # shown beside a sample


class Tile(NamedTuple):
    label: str
    value: str
    note: str
    interval: str = ""


class PageState(NamedTuple):
    name: str
    note: str


def render(record: RunRecord, figures: Sequence[FigureFile]) -> str:
    """The page."""
    evidence = gather(record)
    judged = verdict(evidence)
    about_judges = [line for line in (judges.about_proxy(record), judges.about_gold(record)) if line]
    guesses = evidence is not None and evidence.gold_guesses  # then that comes first: all else rests on it
    return page(
        "report.html.jinja",
        record=record,
        state=state(record),
        description=describe(record),
        verdict=judged,
        sentences=[*about_judges, *judged.sentences] if guesses else [*judged.sentences, *about_judges],
        tiles=tiles(evidence, record),
        figures=pictures(figures),
        final_prompts=None if evidence is None or evidence.num_prompts == record.num_prompts else evidence.num_prompts,
        samples=[sample_view(comparison, after(record, comparison.step)) for comparison in compare(record)],
        places=[record.place(row["step"]) for row in (record.heldout[0], record.end)] if record.heldout else [],
        halves=table.halves(record),
        num_samples=len({row["prompt_id"] for row in record.samples}),
        measured=table.measured(record),
        judges=judges.table(record),
        line=judges.line(record),
        importance=importance.table(record),
        about_importance=importance.sentences(record),
        about_sample=judges.about_sample(record),
        about_limit=judges.about_limit(record),
        cleaning={
            "summary": cleaning.summary(record),
            "tables": [found for found in (cleaning.flips(record), cleaning.scores(record)) if found[1]],
            "pairs": cleaning.most_distrusted(record),
        },
        left_out=table.left_out(record),
        warnings=[str(line) for line in record.provenance.get("warnings") or []],
        costs=table.costs(record),
        command=record.provenance.get("command"),
        provenance=table.provenance(record),
        artefacts=table.artefacts(record),
        config=yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True),
    )


def state(record: RunRecord) -> PageState:
    """The run's state in a word, with what a reader has to know of an unfinished one."""
    if record.finished:  # the report is made before the run calls itself done
        return PageState("done", "")
    last = max(record.train.last_step or 0, record.heldout[-1]["step"] if record.heldout else 0)
    so_far = (
        f"This run is not finished: {last} of {record.config.get('num_steps')} steps were done when this page was made."
    )
    name = str(record.status.get("state") or "unfinished")
    if name == "running":
        return PageState(name, f"{so_far} It was running then, or had been killed without a chance to say so.")
    reason = record.status.get("reason")
    return PageState(name, f"{so_far} It stopped with: {reason}" if reason else so_far)


def tiles(evidence: Evidence | None, record: RunRecord) -> list[Tile]:
    """The four numbers that a decision starts from; fewer where they were not measured."""
    if evidence is None or evidence.step == 0:
        return []
    found = []
    if gold := evidence.gold:
        interval = bounds(gold.low, gold.high).strip()
        found.append(Tile("gold, what counts", number(gold.value, plus=True), "SD over the start", interval))
    if won := evidence.win_rate:
        value, _, interval = percent(won).partition(" [")
        found.append(Tile("win rate over the start", value, "of prompts, by gold", f"[{interval}" if interval else ""))
    if proxy := evidence.proxy:
        interval = bounds(proxy.low, proxy.high).strip()
        found.append(Tile("proxy, optimised", number(proxy.value, plus=True), "SD over the start", interval))
    last = record.summary or (record.heldout[-1] if record.heldout else {})
    if (kl := last.get("objective/kl_start", last.get("objective/kl"))) is not None:
        origin = "start" if "objective/kl_start" in last else "reference"
        found.append(Tile(f"KL to the {origin}", number(kl), "nats per completion"))
    return found


def after(record: RunRecord, step: int) -> str:
    """Whose the second of two texts is."""
    if record.best_of is None:
        return f"After {step} steps"
    place = record.place(step)
    return place[0].upper() + place[1:]


def sample_view(comparison: BeforeAfter, after: str) -> dict[str, Any]:
    """A comparison as the template wants it: numbers as text, factors as chips."""
    changed = comparison.factors[:MAX_FACTORS]
    return {
        "place": comparison.place,
        "prompt": comparison.prompt,
        "after_title": after,
        "before": _side(comparison.before),
        "after": _side(comparison.after),
        "changes": [_gold_change(comparison)]
        * (comparison.before.gold is not None and comparison.after.gold is not None)
        + [(name, f"{number(was)} → {number(now)}", _direction(now - was)) for name, was, now in changed],
        "factors_more": len(comparison.factors) - len(changed),
    }


def _gold_change(comparison: BeforeAfter) -> tuple[str, str, str]:
    change = (comparison.after.gold or 0.0) - (comparison.before.gold or 0.0)
    return "gold", number(change, plus=True), _direction(change)


def _side(text: Text) -> dict[str, Any]:
    scores = [
        f"{name} {number(value)}" for name, value in (("gold", text.gold), ("proxy", text.proxy)) if value is not None
    ]
    words = sum(len(part.split()) for part, _ in text.spans)
    scores.append(f"{words:,} word{'' if words == 1 else 's'}")  # a long text is scrolled, and does not look long
    return {"scores": " · ".join(scores), "spans": text.spans, "ended": text.ended}


def _direction(change: float) -> str:
    return "" if abs(change) < 0.005 else "up" if change > 0 else "down"
