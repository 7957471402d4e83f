"""`rlx train` of one cell, in this process."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rlx.command.check import checked
from rlx.command.compose import ComposedRun
from rlx.command.data import examine
from rlx.core.error import UserError
from rlx.process import outer
from rlx.run import kept
from rlx.run.state import check_run_dir, has_model, holds, lacks, load_config, open_run_dir, run_dir_of, short_path
from rlx.run.status import STATUS, note_failure, state_of

Check = Callable[[Mapping[str, Any]], None]
Run = Callable[[Path], int]


def train_one(cell: ComposedRun, run: Callable[[], Run], report: Callable[[], Run], check: Callable[[], Check]) -> int:
    """Check, open the run directory, then fetch `run` (an import that may load torch, as `check` may, which sees what
    only torch can) and hand it the config's path. Of a run that is done, `report` makes what a kill has left out."""
    config = checked(cell.config)
    outer.check(config)
    if outer.rank():
        return _follow(config, run)
    run_dir = check_run_dir(config)
    if state_of(run_dir).state == "done":
        return _complete(run_dir, config, run, report)
    look_at([config])
    with unsaid():
        check()(config)
    return _run(open_run_dir(config, run_dir), run)


def look_at(configs: Sequence[Mapping[str, Any]]) -> None:
    """Look at models' folders and at data. Raises UserError."""
    with unsaid():
        examine(configs)


@contextmanager
def unsaid() -> Iterator[None]:
    """Keep rlx's warnings back: the run reads its data again and then says what it leaves out, also to its log."""
    ours = logging.getLogger("rlx")
    level = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(level)


def train_resolved(path: Path, run: Callable[[], Run], report: Callable[[], Run]) -> int:
    """Go on with the run that a resolved config.yaml lies in (what a sweep, or a job of a cluster, starts); as `train_one`
    where it is done."""
    config = _checked_file(path)
    outer.check(config)
    if state_of(path.parent).state == "done":
        if outer.rank():
            return 0
        return _complete(path.parent, config, run, report)
    return _run(path, run)


def _checked_file(path: Path) -> dict[str, Any]:
    config = load_config(path)
    try:
        return checked(config)
    except UserError as error:
        raise UserError(f"{short_path(path)}: {error}") from error


def _follow(config: Mapping[str, Any], run: Callable[[], Run]) -> int:
    """The run as one of several processes, of which the first checks its directory and opens it."""
    run_dir = run_dir_of(config)
    if state_of(run_dir).state == "done":
        return 0
    outer.wait_for(lambda: holds(run_dir, config), f"opened {short_path(run_dir)}")
    return _run(run_dir / "config.yaml", run)


def _run(path: Path, run: Callable[[], Run]) -> int:
    try:
        code = run()(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if outer.rank():  # the first process says it
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        with suppress(OSError):  # a full disk takes no status either
            note_failure(path.parent, reason if isinstance(error, UserError) else f"{type(error).__name__}: {reason}")
        raise
    if code:
        note_failure(path.parent, f"exit code {code}")
    return code


def _complete(run_dir: Path, config: Mapping[str, Any], run: Callable[[], Run], report: Callable[[], Run]) -> int:
    """Make what a kill at the end of the run, or somebody who removed files of it, has left out; say what cannot be made
    again. The exit code is 1 where numbers are lost."""
    gone, lost = kept.gone(run_dir), 0
    if gone and kept.has_way_back(run_dir, config):
        print(f"{short_path(run_dir)} is done, but {kept.in_short(gone)} is gone: made again, from its last checkpoint")
        return _run(run_dir / "config.yaml", run)
    if gone:
        print(
            f"{short_path(run_dir)} is done, but {kept.in_short(gone)} is gone, and only training makes that again: "
            f"delete {short_path(run_dir / STATUS)}, and the same command trains"
        )
        lost = int(any(not name.startswith("model/") for name in gone))
    if changed := kept.changed(run_dir):
        print(f"{short_path(run_dir)} is done, but {kept.in_short(changed)} is not what it wrote: do not trust that")
        lost = lost or int(any(not name.startswith("model/") for name in changed))
    if lacks(run_dir) and not lost:
        report()(run_dir)
    if not (gone or has_model(run_dir)):  # of a run from before it noted what it had made
        print(
            f"It has no model. Delete {short_path(run_dir / STATUS)}: the same command then ends it from its checkpoint."
        )
    return say_done(run_dir) or lost


def say_done(run_dir: Path) -> int:
    """Where its report is, and how to run it once more."""
    page = run_dir / "report.html"
    report = (
        f"its report: {short_path(page)}" if page.is_file() else f"`rlx report {short_path(run_dir)}` writes its report"
    )
    print(f"{short_path(run_dir)} is done; {report}")
    print("Another seed=... makes another run; delete the directory to run this one again.")
    return 0
