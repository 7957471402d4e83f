"""`rlx claim NAME ...`: run what a declared claim needs and lacks, judge it, and write its page and the page of all claims."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlx.command.claim import DeclaredClaim, cells_of, names
from rlx.command.claim import load as load_claim
from rlx.command.sweep import sweep
from rlx.comparison.claim import Finding, judge
from rlx.comparison.verdict import Expect, in_family
from rlx.process import atomic
from rlx.process.logs import speak
from rlx.reporting.claim.rendering import (
    as_json,
    draw_claim,
    draw_forest,
    render_claim,
    render_results,
    results_markdown,
)
from rlx.reporting.claim.words import difference
from rlx.reporting.figure.claim.forest import Row
from rlx.run.record import RunRecord, load_record
from rlx.run.state import short_path

log = logging.getLogger(__name__)

FOLDER = {"report": "claims", "quick": "claims-quick", "choose": "claims-choose"}  # in runs_dir


def run(declared: Sequence[DeclaredClaim] | None, runs: bool = True, to: Path | None = None) -> int:
    """Print the list of claims where none is `declared`. Else run the cells that are not done (none where `runs` is false),
    judge every claim and write `<runs_dir>/claims/NAME/`, and beside them results.html, results.md and claims.png of the
    claims named here. `to`: a folder that results.md and images/claims.png are written into as well.

    Returns 0, or the exit code of the sweep where cells failed or were interrupted; what is there is judged all the same.
    """
    if declared is None:
        return show_list()
    speak()
    cells = cells_of(declared)
    code = sweep(cells) if runs else 0
    if code == 130:
        return code
    directory = Path(declared[0].runs[0].run_dir).parent / FOLDER[declared[0].scope]
    found = {one.name: judge(one.claim, records_of(one), one.seeds) for one in declared}
    for one in declared:
        _write_claim(one, found[one.name], directory / one.name)
    expect: dict[str, Expect] = {one.name: one.claim.expect for one in declared}
    words = in_family({name: finding.verdict for name, finding in found.items()}, expect)
    rows = {one.name: Row(one.claim, found[one.name], words[one.name]) for one in declared}
    figures = draw_forest(list(rows.values()), directory)
    drawn = figures[0].path
    atomic.write(directory / "results.html", render_results(rows, declared[0].scope, figures))
    atomic.write(directory / "results.md", results_markdown(rows, declared[0].scope, "claims.png" if drawn else None))
    if to is not None:
        if drawn:
            (to / "images").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(drawn, to / "images" / "claims.png")
        atomic.write(
            to / "results.md", results_markdown(rows, declared[0].scope, "images/claims.png" if drawn else None)
        )
    _show(rows)
    print(f"Results: {short_path(directory / 'results.html')}")
    return code


def show_list() -> int:
    """Print every claim that rlx ships."""
    table = Table("claim", "says", "paper", "data seeds", "minutes", box=SIMPLE_HEAD)
    for name in names():
        _, claim = load_claim(name)
        seeds = ", ".join(map(str, claim.seeds.report))
        table.add_row(name, escape(claim.says), claim.source.paper, seeds, str(claim.budget))
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(table)
    return 0


def records_of(one: DeclaredClaim) -> dict[str, dict[int, list[RunRecord]]]:
    """Arm -> data seed -> its finished runs, in the order of the matched values."""
    found: dict[str, dict[int, list[RunRecord]]] = {}
    for declared in sorted(one.runs, key=lambda run: run.place):
        if (declared.run_dir / "config.yaml").is_file() and (record := load_record(declared.run_dir)).finished:
            found.setdefault(declared.arm, {}).setdefault(declared.seed, []).append(record)
    return found


def _write_claim(one: DeclaredClaim, finding: Finding, directory: Path) -> None:
    figures = list(draw_claim(one.claim, finding, directory / "figures"))
    runs = [(" ".join(run.cell.overrides), short_path(run.run_dir)) for run in one.runs]
    atomic.write(directory / "claim.json", as_json(one.name, one.claim, finding, one.seeds, one.scope))
    page = render_claim(one.name, one.claim, finding, one.seeds, one.scope, runs, figures)
    atomic.write(directory / "report.html", page)


def _show(rows: dict[str, Row]) -> None:
    table = Table("claim", "difference [95 %]", "data seeds", "by itself", "among all", box=SIMPLE_HEAD)
    for name, row in rows.items():
        found = row.finding.verdict
        seeds = f"{found.num} of {found.num + len(row.finding.lacking)}"
        table.add_row(name, difference(row.claim, row.finding), seeds, found.word, row.word)
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(table)
    for name, row in rows.items():
        for line in row.finding.lacking:
            log.warning("%s: not compared, %s", name, line)
        if row.finding.verdict.why:
            log.warning("%s: %s", name, row.finding.verdict.why)
