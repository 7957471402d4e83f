"""`rlx report RUN` or `rlx report SWEEP`: what a run, or a sweep, has shown, as one page to send to a colleague."""

import logging
from pathlib import Path

from rlx.comparison.sweep import Comparison
from rlx.core import atomic
from rlx.core.record import load_record
from rlx.core.sweep_record import is_sweep, load_sweep
from rlx.figure.gallery import draw_all
from rlx.figure.sweep.gallery import draw_sweep
from rlx.page.rendering import render
from rlx.page.sweep.rendering import render_sweep
from rlx.page.sweep.tables import all_tables, as_csv, as_latex

log = logging.getLogger(__name__)


def run(run_dir: Path) -> int:
    """Write report.html and figures/*.png into `run_dir`, of a run that is finished or not.

    Returns the exit code 0. Raises UserError where `run_dir` is not a run directory or one of its files is not JSON.
    """
    if is_sweep(run_dir):
        return run_sweep(run_dir)
    record = load_record(run_dir)
    _write(record.path / "report.html", render(record, list(draw_all(record, record.path / "figures"))))
    return 0


def run_sweep(sweep_dir: Path) -> int:
    """Write report.html and figures/*.{png,csv,tex} into `sweep_dir`, of a sweep that is finished or not."""
    comparison = Comparison(load_sweep(sweep_dir))
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
