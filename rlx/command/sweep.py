"""`rlx train -m`: shared artefacts first, then each cell in a process of its own, some at a time; none takes others down."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rlx.command.check import checked, checked_sweep
from rlx.command.compose import ComposedRun
from rlx.command.data import examine
from rlx.command.sweep_table import finished_line, show_table
from rlx.core.error import UserError
from rlx.core.rules import kind
from rlx.core.signature import constant
from rlx.process import outer
from rlx.process.parent import PARENT
from rlx.run.kept import gone
from rlx.run.state import at_work, check_content, open_run_dir, short_path
from rlx.run.status import RunState, forget, note_failure, shown_in_full, state_of
from rlx.run.sweep_index import NOT_STARTED, CellRow, SweepDirectory, axes_of
from rlx.run.sweep_record import OUTPUT, PREPARED

POLL = 0.1  # s


def rows_of(cells: Sequence[ComposedRun], waits: bool = False) -> list[CellRow]:
    """All cells, checked before any starts; refused where two would share a run directory, or one is at work. `waits`: but
    for those that a process of this machine works on, which has an end."""
    configs = [checked(cell.config) for cell in cells]
    run_dirs = [check_content(config) for config in configs]
    for run_dir, reason in at_work(run_dirs).items():
        if not (waits and _by_neighbour(run_dir)):
            raise UserError(reason)
    for index, run_dir in enumerate(run_dirs):
        if run_dir in run_dirs[:index]:
            first, second = cells[run_dirs.index(run_dir)], cells[index]
            raise UserError(
                f"two cells of the sweep have the same run directory {short_path(run_dir)}: {' '.join(first.overrides)} and "
                f"{' '.join(second.overrides)}"
                + ("; leave name=null" if configs[index]["name"] else "; name each value once")
            )
    axes = axes_of([cell.overrides for cell in cells])
    return [CellRow(d, c, cell.overrides, a) for d, c, cell, a in zip(run_dirs, configs, cells, axes, strict=True)]


def parallel(num_parallel: int | None, configs: Sequence[dict[str, Any]]) -> int:
    """Cells at once: as many as were asked for, or else as cores allow where memory is no question (the lab's models on CPUs)."""
    if num_parallel is None:
        small = all(constant(str(c["model"]["_target_"]), "shipped") for c in configs)
        if not small or any(kind(c, "compute") != "cpu" for c in configs):
            return 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(max(1, cores // max(int(c["compute"]["num_threads"]) for c in configs)), len(configs))
    return min(num_parallel, len(configs))


def sweep(cells: Sequence[ComposedRun]) -> int:
    """0 if every cell is done at the end, 1 if any failed, 130 if interrupted."""
    outer.refuse("rlx train -m")
    settings = checked_sweep(cells[0].sweep)
    directory = SweepDirectory(rows_of(cells, waits=True))
    todo = [row for row in directory.rows if not row.done or not shown_in_full(row.run_dir) or gone(row.run_dir)]
    examine([row.config for row in todo])
    for row in todo:
        if row.state.state == "running":
            continue
        open_run_dir(row.config, row.run_dir)
    directory.write()
    try:
        held = FileLock(directory.path / ".lock").acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{short_path(directory.path)}: another process is at work on this sweep; wait for it"
        ) from None
    with held, _one_signal():
        at_once = parallel(settings.num_parallel, [row.config for row in directory.rows])
        work = Work(directory, todo, at_once, settings.fail_fast)
        if todo:
            say(f"{short_path(directory.path)}: {len(todo)} of {len(directory.rows)} cells to do, {at_once} at once")
        try:
            if len(todo) > 1:
                work.prepare()
            work.run()
        except KeyboardInterrupt:
            work.interrupt()
        directory.write()
        directory.note_command(time.monotonic() - work.started, at_once)
    show_table(directory, work.started)
    if work.interrupted:
        return 130
    return int(not all(row.done for row in directory.rows))


class Work:
    """The cells `todo`, `at_once` of them at a time."""

    def __init__(self, directory: SweepDirectory, todo: Sequence[CellRow], at_once: int, fail_fast: bool) -> None:
        self.directory, self.at_once, self.fail_fast = directory, at_once, fail_fast
        self.waiting = [row for row in todo if not _by_neighbour(row.run_dir)]
        self.elsewhere: list[CellRow] = []  # that processes of nobody here work on
        for row in todo:
            if row not in self.waiting:
                self.leave(row)
        self.running: dict[subprocess.Popen[bytes], tuple[CellRow, float]] = {}
        self.preparing: subprocess.Popen[bytes] | None = None
        self.took: list[float] = []  # s, of the cells that have ended
        self.total, self.ended, self.interrupted, self.started = len(todo), 0, False, time.monotonic()

    def prepare(self) -> None:
        """Build what the cells share in one process, so that none waits for another; what cannot be built fails the
        cells that need it, and no other."""
        before = (self.directory.path / PREPARED).stat().st_mtime_ns if (self.directory.path / PREPARED).exists() else 0
        self.preparing = _start(["prepare", str(self.directory.path)], None)
        code = _wait(self.preparing)
        self.preparing = None
        try:
            broken = json.loads((self.directory.path / PREPARED).read_text(encoding="utf-8"))["failed"]
            if (self.directory.path / PREPARED).stat().st_mtime_ns == before:
                raise ValueError("it is of an earlier command")
        except (OSError, ValueError, KeyError):
            say(f"the artefacts could not be prepared ({_ended(code)}): each cell builds what it misses, others wait")
            return
        for row in list(self.waiting):
            if (reason := broken.get(row.run_dir.name)) is not None:
                forget(row.run_dir)
                note_failure(row.run_dir, reason)
                self.waiting.remove(row)
                self.end(row, 0, 0.0)

    def run(self) -> None:
        """Until nothing waits or runs, here or in other processes."""
        while self.waiting or self.running or self.elsewhere:
            for row in [row for row in self.elsewhere if not _by_neighbour(row.run_dir)]:
                self.elsewhere.remove(row)
                row.state = state_of(row.run_dir)
                if row.done:
                    self.end(row, 0, 0.0)
                else:
                    self.waiting.append(row)
            while self.waiting and len(self.running) < self.at_once:
                self.start(self.waiting.pop(0))
            if child := next((child for child in self.running if child.poll() is not None), None):
                row, start = self.running.pop(child)
                self.end(row, child.returncode, time.monotonic() - start)
                continue
            time.sleep(POLL)

    def start(self, row: CellRow) -> None:
        own = " ".join(f"{key}={value}" for key, value in [*row.axes.items(), ("seed", row.config["seed"])])
        say(f"[{self.total - len(self.waiting)}/{self.total}] {own}  {short_path(row.run_dir)}")
        output = row.run_dir / OUTPUT if self.at_once > 1 else None  # the bars of several would mix on one terminal
        child = _start(["train", str(row.run_dir / "config.yaml")], output)
        self.running[child] = (row, time.monotonic())
        row.state = RunState("running", pid=child.pid)
        self.directory.write()

    def end(self, row: CellRow, code: int, seconds: float) -> None:
        """Note how the cell ended, in its own directory if it could not, and in the index."""
        if code and _by_neighbour(row.run_dir):  # which was faster, or outlived the command that started it
            self.leave(row)
            return
        row.state = state_of(row.run_dir)
        if row.state.state == "new" or (code and row.state.state not in ("failed", "interrupted")):
            row.state = RunState("failed", _ended(code))
        elif code < 0 and row.state.state != "failed":
            row.state = RunState(row.state.state, _ended(code))
        row.seconds += seconds
        self.ended += 1
        self.directory.write()
        self.took += [seconds] if seconds else []
        each = sum(self.took) / max(1, len(self.took))
        say(finished_line(row, seconds, self.total - self.ended, each, self.at_once))
        if self.fail_fast and not row.done and not self.interrupted:
            say("sweep.fail_fast=true: the others are stopped")
            self.waiting.clear()
            self.interrupt()
            self.interrupted = False  # nobody asked for it: the exit code is that of a failure

    def leave(self, row: CellRow) -> None:
        """Wait for another process's work on the cell; if that does not bring it to its end, go on with it then."""
        row.state = state_of(row.run_dir)
        self.elsewhere.append(row)
        say(f"{short_path(row.run_dir)} is being worked on by process {row.state.pid}; waiting for it")

    def interrupt(self) -> None:
        """Ask every process once to save and end; a second Ctrl-C ends them."""
        self.interrupted = True
        self.waiting.clear()
        self.elsewhere.clear()
        children = [*self.running, *([self.preparing] if self.preparing else [])]
        for child in children:
            child.terminate()  # where a shell started us in the background, SIGINT is ignored by all of us
        for child in children:
            try:
                child.wait()
            except KeyboardInterrupt:
                child.kill()
                child.wait()
        for child, (row, start) in list(self.running.items()):
            row.state, row.seconds = state_of(row.run_dir), row.seconds + time.monotonic() - start
            if row.state.state == "new":
                row.state = RunState(NOT_STARTED)
            del self.running[child]


@contextlib.contextmanager
def _one_signal() -> Iterator[None]:
    """A scheduler's TERM is a Ctrl-C here as well."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _by_neighbour(run_dir: Path) -> bool:
    """Whether another process of this machine works on the run."""
    state = state_of(run_dir)
    return state.state == "running" and not state.elsewhere and state.pid != os.getpid()


def _start(arguments: list[str], output: Path | None) -> "subprocess.Popen[bytes]":
    """`rlx ARGUMENTS` in a process group of its own: a Ctrl-C reaches it once, from us. It saves and ends where we are killed."""
    command, env = [sys.executable, "-m", "rlx.cli", *arguments], os.environ | {PARENT: str(os.getpid())}
    if output is None:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, env=env)
    with output.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, process_group=0, env=env)


def _wait(child: "subprocess.Popen[bytes]") -> int:
    while child.poll() is None:
        time.sleep(POLL)
    return child.returncode


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    memory = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"stopped by {signal.Signals(-code).name}{memory}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
