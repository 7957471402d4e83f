"""`rlx report RUN` or `rlx report SWEEP`: what a run, or a sweep, has shown, as one page to send to a colleague."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.comparison.decoders import rows_of
from rlx.comparison.sweep import SweepComparison
from rlx.core.build import build
from rlx.core.error import UserError
from rlx.core.tracker import Tracker
from rlx.process import atomic
from rlx.reporting.card import model_card
from rlx.reporting.decoders import render_decoders
from rlx.reporting.figure import alphas, decoded
from rlx.reporting.figure.gallery import draw_all, written
from rlx.reporting.figure.sweep.gallery import draw_sweep
from rlx.reporting.pair import render_against_start
from rlx.reporting.rendering import render
from rlx.reporting.sweep.rendering import render_sweep
from rlx.reporting.sweep.tables import all_tables, as_csv, as_latex
from rlx.run.directory import SAMPLES, RunDirectory, RunIsHeldError
from rlx.run.name import hash8
from rlx.run.record import RunRecord, load_record
from rlx.run.status import shown_in_full
from rlx.run.sweep_record import is_sweep, load_sweep

log = logging.getLogger(__name__)


def run(run_dir: Path) -> int:
    """Write report.html and figures/*.png into `run_dir`, of a run that is finished or not.

    Of a run that was killed once it was done, its tracker is told the rest as well, unless a process is at it; a model card
    that is missing is written. Returns the exit code 0. Raises UserError where `run_dir` is not a run directory or one of
    its files is not JSON.
    """
    if is_sweep(run_dir):
        return run_sweep(run_dir)
    record = load_record(run_dir)
    if record.external:
        write_external(record)
        return 0
    if record.status.get("state") == "done":
        restore_card(record)
    if record.status.get("state") != "done" or shown_in_full(run_dir):
        write_report(record)
        return 0
    directory = RunDirectory(run_dir)
    try:
        with directory.held():
            tracker = build(record.config["tracker"]).start(run_dir, record.config, run_dir.name)
            conclude(directory, tracker, record.summary)
            directory.finish(shown=True)
    except RunIsHeldError:
        write_report(record)
    return 0


def write_report(record: RunRecord) -> None:
    """Write the page and its figures."""
    _write(record.path / "report.html", render(record, list(draw_all(record, record.path / "figures"))))


def write_external(record: RunRecord) -> Path:
    """Write the page of a policy that was trained elsewhere, beside its start; return its path."""
    page = record.path / "versus-start.html"
    figures = list(written([alphas], [record], record.path / "figures")) if record.config.get("decoder") else []
    _write(page, render_against_start(record, figures))
    return page


def write_decoders(sweep_dir: Path, measured: Sequence[Mapping[str, Any]]) -> Path:
    """Write decoders-<hash8 of the experts>.html and .json, and their figures, into `sweep_dir`; return the page's path."""
    try:
        rows = rows_of(measured)
    except ValueError as ex:
        raise UserError(f"{sweep_dir.name}: {ex}; measure with the run's own evaluation.final_num_prompts") from None
    experts = list(dict.fromkeys(expert for one in measured for expert in one["experts"]))
    stem = f"decoders-{hash8(experts)}"
    names = list(dict.fromkeys(one["decoder"] for one in measured))
    subjects: list[tuple[Any, Any, str]] = [(decoded, rows, "decoded")]
    for name in names:
        records = [load_record(Path(one["path"])) for one in measured if one["decoder"] == name]
        subjects.append((alphas, records, f"alphas_{name.partition('=')[2]}"))
    figures = []
    for module, subject, name in subjects:
        for figure in written([module], subject, sweep_dir / "figures" / stem, name):
            title = f"{figure.title}: {name.partition('_')[2]}" if module is alphas else figure.title
            figures.append(figure._replace(title=title))
    atomic.write(sweep_dir / f"{stem}.json", json.dumps([_listed(one) for one in measured], indent=1) + "\n")
    _write(page := sweep_dir / f"{stem}.html", render_decoders(sweep_dir.name, rows, experts, figures))
    return page


def _listed(one: Mapping[str, Any]) -> dict[str, Any]:
    seed, data_seed = one["seeds"]
    return {"seed": seed, "data_seed": data_seed, **{key: value for key, value in one.items() if key != "seeds"}}


def restore_card(record: RunRecord) -> None:
    """Write the model's card where it is missing."""
    card = record.path / "model" / "README.md"
    if (card.parent / "config.json").is_file() and not card.is_file():
        atomic.write(card, model_card(record))
        log.info("model card: %s", card)


def conclude(directory: RunDirectory, tracker: Tracker, summary: Mapping[str, float]) -> None:
    """Write the report of a run that is done, and tell its tracker the rest."""
    write_report(load_record(directory.path))
    columns = ["step", "prompt", "completion", "proxy", "gold"]
    rows = [[_cell(row[name]) for name in columns] for row in directory.rows(SAMPLES)]
    tracker.table("samples", columns, rows)
    tracker.file(directory.path / "report.html")
    tracker.file(directory.path / "model" / "README.md")
    tracker.finish(summary)


def run_sweep(sweep_dir: Path) -> int:
    """Write report.html and figures/*.{png,csv,tex} into `sweep_dir`, of a sweep that is finished or not."""
    comparison = SweepComparison(load_sweep(sweep_dir))
    figures = list(draw_sweep(comparison, sweep_dir / "figures"))
    tables = all_tables(comparison)
    for table in tables:
        (sweep_dir / "figures" / f"{table.name}.csv").write_text(as_csv(table), encoding="utf-8")
        (sweep_dir / "figures" / f"{table.name}.tex").write_text(as_latex(table), encoding="utf-8")
    _write(sweep_dir / "report.html", render_sweep(comparison, figures, tables))
    return 0


def _write(path: Path, page: str) -> None:
    atomic.write(path, page)
    log.info("report: %s", path)


def _cell(value: object) -> object:
    """A table's cell: conversations as text."""
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
