"""`rlx status`: how runs stand, from their files and, where there is one, from the cluster's queue."""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlx.command.sweep_table import COLOURS, duration
from rlx.run.state import short_path
from rlx.run.status import STATUS, state_of
from rlx.run.sweep_record import PREPARED, is_sweep, load_sweep
from rlx.slurm.job import submitted, waiting_or_running
from rlx.slurm.queue import Job, NoQueueError, queue
from rlx.slurm.script import log_name

WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED")
TAIL = 1 << 16  # bytes of metrics.jsonl in which its last row is looked for
NUM_STEPS = re.compile(rb"^num_steps: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Standing:
    """A row of the table."""

    path: Path
    state: str  # done, running, pending, interrupted, failed, not started
    step: str  # of num_steps
    job: str
    queue: str
    age: float | None  # s since it last wrote something
    reason: str


def run(named: Sequence[Path]) -> int:
    """Print a table of the runs that are named, a sweep's as its cells, or of all runs there are."""
    folder = Path(os.environ.get("RLX_RUNS", "runs"))
    paths = list(_spread(named)) if named else _all(folder)
    if not paths:
        print(f"no runs in {folder} yet; RLX_RUNS names another place")
        return 0
    _show(standings(paths))
    return 0


def standings(paths: Sequence[Path]) -> list[Standing]:
    """One a directory; the queue is asked once for all."""
    jobs: dict[Path, Job] = {}
    alive: set[str] | None = None
    if any(submitted(path) or state_of(path).job for path in paths):
        try:
            jobs = waiting_or_running(paths)
            elsewhere = [s.job for path in paths if (s := state_of(path)).state == "running" and s.elsewhere and s.job]
            alive = set(queue(elsewhere)) | {job.id for job in jobs.values()}
        except NoQueueError as error:
            print(f"(the queue could not be asked: {error})")
    return [(_prepare if is_sweep(path) else _standing)(path, jobs.get(path), alive) for path in paths]


def _standing(run_dir: Path, job: Job | None, alive: set[str] | None) -> Standing:
    """`alive`: ids of the jobs that are in the queue; None where that is not known."""
    told, last = state_of(run_dir), submitted(run_dir)
    state, reason = told.state, told.reason
    if state == "running" and told.elsewhere and told.job is not None and alive is not None and told.job not in alive:
        state, reason = "interrupted", f"its job {told.job} is gone"
    if state != "done" and job is not None and job.state in WAITS:
        state, reason = "pending", reason or job.reason
    elif state != "done" and state != "running" and job is not None:
        state, reason = "running", "starting or ending"
    elif state == "new" and last is not None and alive is not None:
        state, reason = "failed", f"job {last.id} ended before it began; see {log_name(last.id)} in it"
    elif state == "new":
        state = "not started"
    id = job.id if job is not None else last.id if last is not None else told.job or ""
    return Standing(run_dir, state, _step(run_dir), id, _queued(job), _age(run_dir), reason)


def _prepare(sweep_dir: Path, job: Job | None, alive: set[str] | None) -> Standing:
    """The job that builds what a sweep's cells share."""
    last, prepared = submitted(sweep_dir), sweep_dir / PREPARED
    state, reason = "not started", ""
    if job is not None:
        state, reason = ("pending", job.reason) if job.state in WAITS else ("running", "builds what the cells share")
    elif last is not None and prepared.is_file() and prepared.stat().st_mtime > last.time:
        failed = json.loads(prepared.read_text(encoding="utf-8")).get("failed", {})
        state, reason = ("failed", f"for {len(failed)} cells; they say why") if failed else ("done", "")
    elif last is not None and alive is not None:
        state, reason = "failed", f"job {last.id} ended early; the cells build what they miss; see {log_name(last.id)}"
    return Standing(sweep_dir, state, "", last.id if last else "", _queued(job), _age(sweep_dir), reason)


def _queued(job: Job | None) -> str:
    return "" if job is None else f"{job.state} ({job.reason})" if job.reason else job.state


def _spread(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not is_sweep(path):
            yield path
            continue
        if submitted(path):
            yield path
        yield from (cell.run.path for cell in load_sweep(path).cells if cell.run is not None)


def _all(folder: Path) -> list[Path]:
    """Every run there is, and every sweep whose artefacts are a job's; what was at work last comes last."""
    found = [path.absolute() for path in folder.glob("*") if (path / "config.yaml").is_file()]
    found += [path.absolute() for path in folder.glob("*") if is_sweep(path) and submitted(path)]
    return sorted(found, key=lambda path: -(_age(path) or 0.0))


def _age(folder: Path) -> float | None:
    names = (STATUS, "metrics.jsonl", "job.json", "config.yaml", PREPARED)
    times = [(folder / name).stat().st_mtime for name in names if (folder / name).is_file()]
    return max(0.0, time.time() - max(times)) if times else None


def _step(run_dir: Path) -> str:
    """`12 of 100`; nothing where nothing was learnt yet."""
    try:
        # A line of its own, as every config.yaml of rlx has it: to parse 300 of them would take seconds.
        num_steps = NUM_STEPS.search((run_dir / "config.yaml").read_bytes())
        with (run_dir / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")[:-1]  # what follows the last newline is being written
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if num_steps and row.get("split") in ("train", "heldout"):
            return f"{row['step']} of {int(num_steps[1])}"
    return ""


def _show(rows: Sequence[Standing]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None)
    table.add_column("run", no_wrap=True)
    for column in ("state", "step", "job", "queue", "age"):
        table.add_column(column, no_wrap=column in ("state", "step", "job", "age"))
    table.add_column("reason", overflow="fold")
    for row in rows:
        colour = COLOURS.get(row.state, "white")
        age = "" if row.age is None else duration(row.age)
        state = f"[{colour}]{row.state}[/]"
        table.add_row(short_path(row.path), state, row.step, row.job, escape(row.queue), age, escape(row.reason))
    console.width = max(console.width, 100)
    if not console.is_terminal:  # whoever reads this line by line
        console.width = max(console.width, 120 + max(len(short_path(row.path)) + len(row.reason) for row in rows))
    console.print(table)
