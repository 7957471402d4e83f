"""Slurm's own commands: submit, ask, cancel. One call each, with a limit on how long it may take."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rlx.core.error import UserError

PATIENCE = 60  # s
# sbatch takes its options from these as well, and more than from the script: those that a script of ours names are not
# to be overruled by a shell's profile.
FROM_SHELL = {"time": "SBATCH_TIMELIMIT", "mem": "SBATCH_MEM_PER_NODE"}


class NoQueueError(Exception):
    """Slurm cannot be asked; the message says why."""


@dataclass(frozen=True)
class Job:
    """One that waits or runs. `reason`: why it waits, or on which nodes it runs."""

    id: str
    state: str  # as squeue writes it: PENDING, RUNNING, COMPLETING, ...
    reason: str
    name: str


def queue(jobs: Iterable[str]) -> dict[str, Job]:
    """Those of `jobs` (ids) that are in the queue. Raises NoQueueError where that cannot be known."""
    wanted = sorted(set(jobs))
    if not wanted:
        return {}
    command = ["squeue", "--noheader", f"--jobs={','.join(wanted)}", "--format=%A|%T|%r|%N|%j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except FileNotFoundError:
        raise NoQueueError("squeue is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise NoQueueError(f"squeue did not answer within {PATIENCE} s") from None
    if done.returncode and "Invalid job id" not in done.stderr:  # what it says of one job that is long gone
        raise NoQueueError(_last_line(done.stderr) or f"squeue ended with exit code {done.returncode}")
    found = {}
    for line in done.stdout.splitlines():
        job, state, reason, nodes, name = line.split("|", 4)
        found[job] = Job(job, state, reason if state == "PENDING" else nodes, name)
    return found


def submit(script: Path, after: str | None = None) -> str:
    """Hand a script to Slurm, to start once job `after` has ended in whatever way; return the job's id.

    Raises UserError with what sbatch says.
    """
    command = ["sbatch", "--parsable", *([f"--dependency=afterany:{after}"] if after else []), str(script)]
    env = environment(os.environ, script.read_text(encoding="utf-8"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=env)
    except FileNotFoundError:
        raise UserError(NOT_HERE) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"sbatch did not answer within {PATIENCE} s; `squeue --me` tells whether it took the job"
        ) from None
    if done.returncode:
        raise UserError(f"sbatch: {_last_line(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout.strip().split(";")[0]  # id;cluster


NOT_HERE = "no sbatch on this machine: submit from a login node of a Slurm cluster, or run here with rlx train"


def demand() -> None:
    """Raise UserError where nothing can be submitted."""
    if shutil.which("sbatch") is None:
        raise UserError(NOT_HERE)


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs back; those that are gone already are no matter."""
    if ids := list(jobs):
        subprocess.run(["scancel", *ids], capture_output=True, timeout=PATIENCE, check=False)


def environment(env: Mapping[str, str], script: str) -> dict[str, str]:
    """What sbatch sees of `env`, all of which the job will see: without what an outer job was given, which would be taken
    for wishes of this one, and without SBATCH_* where the script has the option."""
    inside = "SLURM_JOB_ID" in env
    options = [
        line.removeprefix("#SBATCH ").strip("'").lstrip("-") for line in script.splitlines() if line.startswith("#SB")
    ]
    names = [option.partition("=")[0] for option in options]
    said = {FROM_SHELL.get(name, f"SBATCH_{name.upper().replace('-', '_')}") for name in names}
    said |= {"SBATCH_WAIT", "SBATCH_NO_REQUEUE", "SBATCH_ARRAY_INX"}

    def kept(name: str) -> bool:
        if inside and name.startswith(("SLURM_", "SBATCH_")):
            return name == "SLURM_CONF"
        return name not in said

    return {name: value for name, value in env.items() if kept(name)}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("sbatch: ").removeprefix("error: ") if lines else ""
