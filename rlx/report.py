"""`rlx report RUN_DIR`: what a run has shown, as one page to send to a colleague."""

import logging
from pathlib import Path

from rlx.core.record import load_record
from rlx.figure.gallery import draw_all
from rlx.page.rendering import render

log = logging.getLogger(__name__)


def run(run_dir: Path) -> int:
    """Write report.html and figures/*.png into `run_dir`, of a run that is finished or not.

    Returns the exit code 0. Raises UserError where `run_dir` is not a run directory or one of its files is not JSON.
    """
    record = load_record(run_dir)
    page = render(record, list(draw_all(record, record.path / "figures")))
    part = record.path / ".report.html.part"
    part.write_text(page, encoding="utf-8")
    part.rename(record.path / "report.html")
    log.info("report: %s", record.path / "report.html")
    return 0
