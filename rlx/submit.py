"""`rlx submit`: what `rlx train` would run here, as jobs of a Slurm cluster; returns as soon as they are in the queue.

The cells are composed and checked now, and their resolved configs written: a job that starts tomorrow runs what was typed
today. A sweep's cells wait for one job that builds what they share.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rlx.command.check import checked, checked_slurm
from rlx.command.compose import Cell
from rlx.command.data import examine
from rlx.command.runs import State, at_work, check_run_dir, load_config, open_run_dir, shown, state_of, write_atomically
from rlx.command.sweep import rows_of
from rlx.command.sweep_index import SweepDirectory
from rlx.command.training import say_done
from rlx.core.error import UserError
from rlx.core.settings import SlurmSettings
from rlx.core.sweep_record import INDEX, SWEEP
from rlx.slurm import job as job_files
from rlx.slurm import queue
from rlx.slurm.script import job_script, log_name

WRITTEN = ("config.yaml", job_files.SCRIPT, job_files.RECORD, INDEX, "index.parquet", SWEEP, ".lock")


def run(cells: Sequence[Cell]) -> int:
    """Submit a cell, or a sweep's; say which jobs they are and where their logs will be."""
    settings = checked_slurm(cells[0].slurm)
    return _one(cells[0], settings) if len(cells) == 1 else _sweep(cells, settings)


def run_again(config_path: Path) -> int:
    """`rlx submit RUN`: submit the job.sbatch that lies in a run directory once more."""
    run_dir = config_path.parent
    checked(load_config(config_path))
    if state_of(run_dir).state == "done":
        return say_done(run_dir)
    if not (run_dir / job_files.SCRIPT).is_file():
        raise UserError(
            f"{shown(run_dir)} was never submitted: say the whole line, rlx submit reward=... , as for rlx train"
        )
    if (reason := at_work([run_dir]).get(run_dir)) is not None:
        raise UserError(reason)
    job = queue.submit(run_dir / job_files.SCRIPT)
    job_files.note(run_dir, job)
    _say(job, run_dir)
    return 0


def _one(cell: Cell, settings: SlurmSettings) -> int:
    config = checked(cell.config)
    run_dir = check_run_dir(config)
    if state_of(run_dir).state == "done":
        return say_done(run_dir)
    queue.demand()
    examine([config])
    with _all_or_nothing([run_dir]):
        job = _submit_run(config, run_dir, settings)
    _say(job, run_dir)
    return 0


def _sweep(cells: Sequence[Cell], settings: SlurmSettings) -> int:
    """One job that prepares, and one a cell that is not done, which wait for it. They wait for its end and not for its
    success: what it could not build fails only the cells that need it, and each of them says so itself."""
    directory = SweepDirectory(rows_of(cells))
    todo = [row for row in directory.rows if not row.done]
    if not todo:
        print(
            f"{shown(directory.path)}: all {len(directory.rows)} cells are done; `rlx report {shown(directory.path)}`"
        )
        return 0
    queue.demand()
    examine([row.config for row in todo])
    jobs: list[str] = []
    with _all_or_nothing([directory.path, *(row.run_dir for row in todo)], jobs):
        directory.path.mkdir(parents=True, exist_ok=True)
        with _held(directory.path):
            for row in todo:
                open_run_dir(row.config, row.run_dir)
            if len(todo) > 1:
                text = job_script(directory.path, ["prepare", str(directory.path)], todo[0].config["compute"], settings)
                write_atomically(directory.path / job_files.SCRIPT, text)
                jobs.append(queue.submit(directory.path / job_files.SCRIPT))
                job_files.note(directory.path, jobs[0])
            prepare = jobs[0] if jobs else None
            for row in todo:
                jobs.append(_submit_run(row.config, row.run_dir, settings, after=prepare))
                row.state = State("submitted", f"job {jobs[-1]}")
            directory.write()
            directory.note_command(0.0, len(todo))
    print(f"{shown(directory.path)}: {len(todo)} of {len(directory.rows)} cells submitted")
    if prepare is not None:
        print(f"job {prepare}: builds what they share; log: {shown(directory.path / log_name(prepare))}")
    for row, job in zip(todo, jobs[-len(todo) :], strict=True):
        print(f"job {job}: {shown(row.run_dir)}; log: {log_name(job)} in it")
    print(f"`rlx status {shown(directory.path)}` tells how they stand; `scancel {' '.join(jobs)}` ends them.")
    return 0


def _submit_run(config: Mapping[str, Any], run_dir: Path, settings: SlurmSettings, after: str | None = None) -> str:
    path = open_run_dir(config, run_dir)
    write_atomically(run_dir / job_files.SCRIPT, job_script(run_dir, ["train", str(path)], config["compute"], settings))
    job = queue.submit(run_dir / job_files.SCRIPT, after)
    job_files.note(run_dir, job)
    return job


def _say(job: str, run_dir: Path) -> None:
    print(
        f"job {job}: {shown(run_dir)}\n"
        f"its log: {shown(run_dir / log_name(job))}\n"
        f"`rlx status {shown(run_dir)}` tells how it stands; `scancel {job}` lets it save and ends it."
    )


@contextlib.contextmanager
def _held(sweep_dir: Path) -> Iterator[None]:
    try:
        with FileLock(sweep_dir / ".lock").acquire(timeout=0):
            yield
    except Timeout:
        raise UserError(f"{shown(sweep_dir)}: another process is at work on this sweep; wait for it") from None


@contextlib.contextmanager
def _all_or_nothing(folders: Sequence[Path], jobs: Sequence[str] = ()) -> Iterator[None]:
    """Where submitting comes to nothing, or to a part: cancel `jobs`, and leave the folders' files as they were."""
    paths = [folder / name for folder in folders for name in WRITTEN]
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    new = {folder for path in folders for folder in (path, *path.parents) if not folder.exists()}
    try:
        yield
    except BaseException:
        queue.cancel(jobs)
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        for folder in sorted(new, key=lambda folder: len(folder.parts), reverse=True):
            with contextlib.suppress(OSError):  # a job that was cancelled in time may have begun its log
                folder.rmdir()
        raise
