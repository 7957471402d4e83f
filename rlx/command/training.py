"""`rlx train`: one cell in this process, several in a process each, one after another."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlx.command.check import checked
from rlx.command.compose import Cell
from rlx.command.runs import check_run_dir, load_config, note_failure, open_run_dir, shown, state_of
from rlx.core.error import UserError

Run = Callable[[Path], int]


def train_one(cell: Cell, run: Callable[[], Run]) -> int:
    """Check, open the run directory, then fetch `run` (an import that may load torch) and hand it the config's path."""
    config = checked(cell.config)
    run_dir = check_run_dir(config)
    if state_of(run_dir).state == "done":
        return _say_done(run_dir)
    return _run(open_run_dir(config, run_dir), run)


def train_resolved(path: Path, run: Callable[[], Run]) -> int:
    """Go on with the run that a resolved config.yaml lies in (what a sweep, or a job of a cluster, starts)."""
    checked(load_config(path))
    if state_of(path.parent).state == "done":
        return _say_done(path.parent)
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


def _say_done(run_dir: Path) -> int:
    page = run_dir / "report.html"
    report = f"its report: {shown(page)}" if page.is_file() else f"`rlx report {shown(run_dir)}` writes its report"
    print(
        f"{shown(run_dir)} is done; {report}\n"
        "Another seed=... makes another run; delete the directory to run this one again."
    )
    return 0


@dataclass(frozen=True)
class Outcome:
    run_dir: Path
    overrides: tuple[str, ...]
    state: str
    reason: str
    seconds: float


def sweep(cells: Sequence[Cell]) -> int:
    """All cells are checked before the first starts; one that fails does not stop the others. 1 if any failed."""
    configs = [checked(cell.config) for cell in cells]
    run_dirs = [check_run_dir(config) for config in configs]
    for index, run_dir in enumerate(run_dirs):
        if run_dir in run_dirs[:index]:
            first, second = cells[run_dirs.index(run_dir)], cells[index]
            raise UserError(
                f"two cells of the sweep have the same run directory {shown(run_dir)}: {' '.join(first.overrides)} and "
                f"{' '.join(second.overrides)}" + ("; leave name=null" if configs[index]["name"] else "")
            )
    outcomes: list[Outcome] = []
    interrupted = False
    shared = set.intersection(*(set(cell.overrides) for cell in cells))
    for number, (cell, config, run_dir) in enumerate(zip(cells, configs, run_dirs, strict=True), start=1):
        if interrupted:
            outcomes.append(Outcome(run_dir, cell.overrides, state_of(run_dir).state, "not started", 0))
            continue
        own = " ".join(word for word in cell.overrides if word not in shared)
        say(f"[{number}/{len(cells)}] {shown(run_dir)}  {own}")
        if state_of(run_dir).state == "done":
            outcomes.append(Outcome(run_dir, cell.overrides, "done", "was done already", 0))
            continue
        outcome, interrupted = _cell(cell, open_run_dir(config, run_dir))
        outcomes.append(outcome)
    _table(outcomes)
    if interrupted:
        return 130
    return int(any(outcome.state != "done" for outcome in outcomes))


def _cell(cell: Cell, path: Path) -> tuple[Outcome, bool]:
    start, interrupted = time.monotonic(), False
    child = subprocess.Popen([sys.executable, "-m", "rlx.cli", "train", str(path)])
    try:
        child.wait()
    except KeyboardInterrupt:  # the child has had the signal as well, and saves its checkpoint
        interrupted = True
        with contextlib.suppress(KeyboardInterrupt):
            child.wait()
        if child.poll() is None:
            child.terminate()
            child.wait()
    state, seconds = state_of(path.parent), time.monotonic() - start
    reason = state.reason
    if child.returncode < 0 and state.state != "done":
        reason = f"stopped by {signal.Signals(-child.returncode).name}" + (
            " (out of memory?)" if child.returncode == -signal.SIGKILL else ""
        )
    elif child.returncode and state.state in ("done", "new"):
        return Outcome(path.parent, cell.overrides, "failed", f"exit code {child.returncode}", seconds), interrupted
    return Outcome(path.parent, cell.overrides, state.state, reason, seconds), interrupted


def _table(outcomes: Sequence[Outcome]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title="sweep", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("run directory", no_wrap=True)
    for column in ("state", "time", "reason"):
        table.add_column(column, overflow="fold")
    colours = {"done": "green", "failed": "red", "interrupted": "yellow"}
    for outcome in outcomes:
        colour = colours.get(outcome.state, "white")
        minutes = f"{outcome.seconds / 60:.1f} min" if outcome.seconds else ""
        table.add_row(
            shown(outcome.run_dir), f"[{colour}]{outcome.state}[/]", minutes, outcome.reason.replace("[", "\\[")
        )
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)
    if any(outcome.state != "done" for outcome in outcomes):
        console.print("The same command again does only what is not done.", highlight=False)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
