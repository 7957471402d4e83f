"""`rlx train` of one cell, in this process."""

from collections.abc import Callable
from pathlib import Path

from rlx.command.check import checked
from rlx.command.compose import Cell
from rlx.command.data import examine
from rlx.command.runs import check_run_dir, load_config, open_run_dir, shown
from rlx.core.error import UserError
from rlx.core.run_status import note_failure, state_of

Run = Callable[[Path], int]


def train_one(cell: Cell, run: Callable[[], Run]) -> int:
    """Check, open the run directory, then fetch `run` (an import that may load torch) and hand it the config's path."""
    config = checked(cell.config)
    run_dir = check_run_dir(config)
    if state_of(run_dir).state == "done":
        return say_done(run_dir)
    examine([config])
    return _run(open_run_dir(config, run_dir), run)


def train_resolved(path: Path, run: Callable[[], Run]) -> int:
    """Go on with the run that a resolved config.yaml lies in (what a sweep, or a job of a cluster, starts)."""
    checked(load_config(path))
    if state_of(path.parent).state == "done":
        return say_done(path.parent)
    return _run(path, run)


def _run(path: Path, run: Callable[[], Run]) -> int:
    try:
        code = run()(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        note_failure(path.parent, reason if isinstance(error, UserError) else f"{type(error).__name__}: {reason}")
        raise
    if code:
        note_failure(path.parent, f"exit code {code}")
    return code


def say_done(run_dir: Path) -> int:
    """Where its report is, and how to run it once more."""
    page = run_dir / "report.html"
    report = f"its report: {shown(page)}" if page.is_file() else f"`rlx report {shown(run_dir)}` writes its report"
    print(
        f"{shown(run_dir)} is done; {report}\n"
        "Another seed=... makes another run; delete the directory to run this one again."
    )
    return 0
