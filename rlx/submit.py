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
from rlx.command.compose import ComposedRun
from rlx.command.data import examine
from rlx.command.sweep import rows_of
from rlx.command.training import say_done
from rlx.core.error import UserError
from rlx.core.settings import SlurmSettings
from rlx.process import atomic
from rlx.run.state import at_work, check_run_dir, load_config, open_run_dir, short_path
from rlx.run.status import RunState, state_of
from rlx.run.sweep_index import SweepDirectory
from rlx.run.sweep_record import INDEX, SWEEP, load_sweep
from rlx.slurm import job as job_files
from rlx.slurm import queue
from rlx.slurm.script import job_script, log_name

WRITTEN = ("config.yaml", job_files.SCRIPT, job_files.RECORD, INDEX, "index.parquet", SWEEP, ".lock")


def run(cells: Sequence[ComposedRun]) -> int:
    """Submit a cell, or a sweep's; say which jobs they are and where their logs will be."""
    settings = checked_slurm(cells[0].slurm)
    return _one(cells[0], settings) if len(cells) == 1 else _sweep(cells, settings)


def run_again(config_path: Path) -> int:
    """`rlx submit RUN`: submit the job.sbatch that lies in a run directory once more."""
    run_dir = config_path.parent
    checked(load_config(config_path))
    if state_of(run_dir).state == "done":
        return say_done(run_dir)
    _demand_scripts([run_dir])
    job = queue.submit(run_dir / job_files.SCRIPT)
    job_files.note(run_dir, job)
    _say(job, run_dir)
    return 0


def run_sweep_again(sweep_dir: Path) -> int:
    """`rlx submit SWEEP`: the jobs of its cells that are not done, and the one before them."""
    cells = load_sweep(sweep_dir).cells
    todo = [cell.run.path for cell in cells if cell.run is not None and cell.state != "done"]
    if not todo:
        return _say_all_done(sweep_dir, len(cells))
    before = [sweep_dir] if len(todo) > 1 and (sweep_dir / job_files.SCRIPT).is_file() else []
    _demand_scripts([*before, *todo])
    jobs: list[str] = []
    with _all_or_nothing([*before, *todo], jobs):
        for folder in (*before, *todo):
            jobs.append(queue.submit(folder / job_files.SCRIPT, after=jobs[0] if before and jobs else None))
            job_files.note(folder, jobs[-1])
    _say_sweep(sweep_dir, len(cells), todo, jobs)
    return 0


def _demand_scripts(folders: Sequence[Path]) -> None:
    """Raise UserError for one that was never submitted, or whose job waits or runs."""
    queue.demand()
    for folder in folders:
        if not (folder / job_files.SCRIPT).is_file():
            line = "say the whole line, rlx submit reward=..., as for rlx train"
            raise UserError(f"{short_path(folder)} was never submitted: {line}")
    for reason in at_work(folders).values():
        raise UserError(reason)


def _one(cell: ComposedRun, settings: SlurmSettings) -> int:
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


def _sweep(cells: Sequence[ComposedRun], settings: SlurmSettings) -> int:
    """One job that prepares, and one a cell that is not done, which wait for it. They wait for its end and not for its
    success: what it could not build fails only the cells that need it, and each of them says so itself."""
    directory = SweepDirectory(rows_of(cells))
    todo = [row for row in directory.rows if not row.done]
    if not todo:
        return _say_all_done(directory.path, len(directory.rows))
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
                atomic.write(directory.path / job_files.SCRIPT, text)
                jobs.append(queue.submit(directory.path / job_files.SCRIPT))
                job_files.note(directory.path, jobs[0])
            prepare = jobs[0] if jobs else None
            for row in todo:
                jobs.append(_submit_run(row.config, row.run_dir, settings, after=prepare))
                row.state = RunState("submitted", f"job {jobs[-1]}")
            directory.write()
            directory.note_command(0.0, len(todo))
    _say_sweep(directory.path, len(directory.rows), [row.run_dir for row in todo], jobs)
    return 0


def _submit_run(config: Mapping[str, Any], run_dir: Path, settings: SlurmSettings, after: str | None = None) -> str:
    path = open_run_dir(config, run_dir)
    atomic.write(run_dir / job_files.SCRIPT, job_script(run_dir, ["train", str(path)], config["compute"], settings))
    job = queue.submit(run_dir / job_files.SCRIPT, after)
    job_files.note(run_dir, job)
    return job


def _say(job: str, run_dir: Path) -> None:
    print(
        f"job {job}: {short_path(run_dir)}\n"
        f"its log: {short_path(run_dir / log_name(job))}\n"
        f"`rlx status {short_path(run_dir)}` tells how it stands; `scancel {job}` lets it save and ends it."
    )


def _say_sweep(sweep_dir: Path, num_cells: int, run_dirs: Sequence[Path], jobs: Sequence[str]) -> None:
    """`jobs`: those of `run_dirs`, after the one that prepares if there is one."""
    print(f"{short_path(sweep_dir)}: {len(run_dirs)} of {num_cells} cells submitted")
    if len(jobs) > len(run_dirs):
        print(f"job {jobs[0]}: builds what they share; log: {short_path(sweep_dir / log_name(jobs[0]))}")
    for run_dir, job in zip(run_dirs, jobs[-len(run_dirs) :], strict=True):
        print(f"job {job}: {short_path(run_dir)}; log: {log_name(job)} in it")
    print(f"`rlx status {short_path(sweep_dir)}` tells how they stand; `scancel {' '.join(jobs)}` ends them.")


def _say_all_done(sweep_dir: Path, num_cells: int) -> int:
    print(
        f"{short_path(sweep_dir)}: all {num_cells} cells are done; `rlx report {short_path(sweep_dir)}` compares them"
    )
    return 0


@contextlib.contextmanager
def _held(sweep_dir: Path) -> Iterator[None]:
    try:
        with FileLock(sweep_dir / ".lock").acquire(timeout=0):
            yield
    except Timeout:
        raise UserError(f"{short_path(sweep_dir)}: another process is at work on this sweep; wait for it") from None


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
