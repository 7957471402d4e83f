"""What a run directory, or a sweep's, keeps of its job: job.sbatch, and job.json with the id that Slurm gave."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rlx.process import atomic
from rlx.slurm.queue import Job, queue

SCRIPT, RECORD = "job.sbatch", "job.json"


@dataclass(frozen=True)
class Submitted:
    id: str
    time: float  # s since the epoch


def submitted(folder: Path) -> Submitted | None:
    """The last job that was submitted for a directory."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Submitted(str(record["job"]), float(record["time"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(folder: Path, job: str) -> None:
    atomic.write(folder / RECORD, json.dumps({"job": job, "time": time.time()}) + "\n")


def waiting_or_running(folders: Iterable[Path]) -> dict[Path, Job]:
    """Of those directories whose job is in the queue, the job: one question for all. Raises NoQueueError.

    A job of that id but another name is of another cluster, or of a time long past.
    """
    known = {folder: job.id for folder in folders if (job := submitted(folder)) is not None}
    found = queue(known.values())
    return {folder: found[job] for folder, job in known.items() if job in found and found[job].name == folder.name}
