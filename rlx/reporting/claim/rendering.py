"""The pages of claims: one for each, and one with all of them, as HTML and as Markdown for the documentation."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlx.comparison.claim import Finding
from rlx.comparison.measure import MEASURES
from rlx.core.claim import Claim
from rlx.reporting.claim.words import MEANING, TONES, difference, expected, fine, headline, need, sentences, strengths
from rlx.reporting.figure.claim import forest, seeds, strength
from rlx.reporting.figure.claim.forest import Row
from rlx.reporting.figure.claim.seeds import Judged
from rlx.reporting.figure.gallery import FigureFile, written
from rlx.reporting.page import drawn, page
from rlx.reporting.verdict import number

NO_VERDICT = {
    "report": "",
    "quick": "Shorter runs on fewer data seeds (--quick): a look, with the wider intervals that it deserves.",
    "choose": "On the seeds that settings are chosen on (--choose): no verdict.",
}


def draw_claim(claim: Claim, finding: Finding, directory: Path) -> Iterator[FigureFile]:
    """Write the figures that there are numbers for."""
    return written((strength, seeds), Judged(claim, finding), directory)


def render_claim(
    name: str, claim: Claim, finding: Finding, declared: Sequence[int], scope: str, runs: Sequence[tuple[str, str]],
    figures: Sequence[FigureFile],
) -> str:  # fmt: skip
    """Return a claim's page. `declared`: data seeds; `runs`: settings and directory of every run that it reads."""
    return page(
        "claim/claim.html.jinja",
        name=name,
        claim=claim,
        headline=headline(claim, finding),
        tone=TONES[finding.verdict.word],
        sentences=sentences(claim, finding, list(declared)),
        scope=NO_VERDICT[scope],
        expected=expected(claim),
        needs=[need(one) for one in finding.needs],
        meaning=MEANING[finding.verdict.word],
        units=[_cells(claim, unit) for unit in finding.units],
        headings=["data seed", *claim.contrast, "difference", *(["range"] if claim.match is not None else [])],
        measure=MEASURES[claim.measure][0],
        p=_p(finding),
        runs=runs,
        strengths=None if claim.match is None else strengths(claim.match),
        figures=drawn(figures),
    )


def draw_forest(rows: Sequence[Row], directory: Path) -> list[FigureFile]:
    """Write claims.png."""
    return list(written((forest,), rows, directory, "claims"))


def render_results(rows: dict[str, Row], scope: str, figures: Sequence[FigureFile]) -> str:
    """Return the page with all claims."""
    return page(
        "claim/results.html.jinja",
        scope=NO_VERDICT[scope],
        rows=[(name, row.claim.says, *_summary(row), TONES[row.word]) for name, row in rows.items()],
        meanings=_meanings(rows),
        figures=drawn(figures),
    )


def results_markdown(rows: dict[str, Row], scope: str, image: str | None) -> str:
    """Return the same for the documentation, with what was declared and every data seed's numbers."""
    lines = [
        "# What the papers claim, and what comes out here",
        "",
        "`make results` writes this page; nobody edits it. Each claim is declared in `conf/claim/NAME.yaml` before anything",
        "runs: its cells, the contrast, the smallest effect of interest and the data seeds that report it. `rlx claim NAME`",
        "runs one and writes a page with its curves.",
        "",
        *([NO_VERDICT[scope], ""] if NO_VERDICT[scope] else []),
        *([f"![All claims]({image})", "", forest.CAPTION, ""] if image else []),
        "| claim | by the paper | difference [95 %] | data seeds | by itself | among all |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        by_paper, found, units, alone, among = _summary(row)
        lines.append(
            f"| [{row.claim.title}](#{name.replace('_', '-')}) | {by_paper} | {found} | {units} | {alone} | **{among}** |"
        )
    lines += ["", *(f"- **{word}**: {meaning}." for word, meaning in _meanings(rows)), ""]
    for name, row in rows.items():
        lines += _section(name, row)
    return "\n".join(lines).rstrip() + "\n"


def as_json(name: str, claim: Claim, finding: Finding, declared: Sequence[int], scope: str) -> str:
    """Return every number of a claim, for other programs."""
    found = {
        "claim": name, "says": claim.says, "scope": scope, "declared_data_seeds": list(declared),
        "contrast": claim.contrast, "measure": claim.measure, "expect": claim.expect,
        "smallest_effect": claim.smallest_effect, "verdict": vars(finding.verdict),
        "units": [vars(unit) for unit in finding.units], "lacking": finding.lacking,
        "needs": [{"arm": one.need.arm, "measure": one.need.measure, "least": one.need.least, "value": one.value,
                   "low": one.low, "high": one.high, "met": one.met} for one in finding.needs],
    }  # fmt: skip
    return json.dumps(found, indent=1) + "\n"


def _section(name: str, row: Row) -> list[str]:
    claim, finding = row.claim, row.finding
    first, second = claim.contrast
    title = name.replace("_", "-")
    lines = [f"## {title}", "", claim.says, ""]
    lines += [f"Paper: arXiv {claim.source.paper}, {claim.source.place}: {claim.source.number}. `rlx claim {name}`", ""]
    lines += [
        f"{first}: `{claim.common} {claim.arms[first]}`; {second}: `{claim.arms[second]}`. Chosen: {claim.chosen}.",
        "",
    ]
    lines += sentences(claim, finding, claim.seeds.report if not finding.units else _declared(finding, claim))
    lines += ["", *(f"- {need(one)}" for one in finding.needs), ""]
    headings = ["data seed", first, second, "difference", *(["range"] if claim.match is not None else [])]
    lines += ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return [*lines, *("| " + " | ".join(_cells(claim, unit)) + " |" for unit in finding.units), ""]


def _declared(finding: Finding, claim: Claim) -> list[int]:
    """The data seeds of the scope that was run: those found, and those lacking."""
    return [0] * (len(finding.units) + len(finding.lacking))


def _summary(row: Row) -> tuple[str, str, str, str, str]:
    found = row.finding.verdict
    units = f"{found.num} of {found.num + len(row.finding.lacking)}"
    return expected(row.claim), difference(row.claim, row.finding), units, found.word, row.word


def _meanings(rows: dict[str, Row]) -> list[tuple[str, str]]:
    words = {row.word for row in rows.values()} | {row.finding.verdict.word for row in rows.values()}
    return [(word, meaning) for word, meaning in MEANING.items() if word in words]


def _cells(claim: Claim, unit: Any) -> list[str]:
    cells = [str(unit.seed), fine(claim, unit.first), fine(claim, unit.second), fine(claim, unit.difference, plus=True)]
    if claim.match is not None:
        cells.append(f"{number(unit.low)} to {number(unit.high)}")
    return cells


def _p(finding: Finding) -> str:
    found = finding.verdict
    if found.p is None or found.p_equal is None:
        return ""
    return f"p = {found.p:.3f} against no difference, {found.p_equal:.3f} against one that matters"
