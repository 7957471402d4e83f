"""Runs as jobs of a real Slurm, for its tests: submit them, wait for them, read what they leave."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rlx.cli import main
from rlx.slurm.job import submitted
from tests.test_train import MINIATURE, numbers

# Only a signal makes a checkpoint before the end.
LONGER = [*MINIATURE, "num_steps=20", "evaluation.interval=10", "checkpoint.interval=20"]
ZERO2 = ["compute=zero2"]
# Above 0 every tensor of the miniature is small enough to stay whole.
ZERO3 = ["compute=zero3", "compute.persistence_threshold=0"]


def on_two_nodes(*line: str) -> list[str]:
    return [*line, "compute.num_processes=2", "compute.num_nodes=2", "slurm.gpus=0"]


def only_run(folder: Path) -> Path:
    (config,) = (folder / "runs").glob("*/config.yaml")
    return config.parent


def submit(folder: Path, *line: str) -> tuple[Path, str]:
    """The run directory and its job's id, which are there as soon as the command returns."""
    assert main(["submit", *line]) == 0
    run = only_run(folder)
    return run, job_of(run)


def job_of(run: Path) -> str:
    job = submitted(run)
    assert job is not None
    return job.id


def scontrol(job: str) -> dict[str, str]:
    command = ["scontrol", "--oneliner", "show", "job", job]
    said = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    return dict(re.findall(r"(\w+)=(\S+)", said))


def wait(what: Callable[[], object], why: Callable[[], str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def ended(job: str, seconds: float = 400) -> dict[str, str]:
    """What Slurm knows of the job once it has ended for good."""
    over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    wait(lambda: scontrol(job)["JobState"] in over, lambda: f"job {job} does not end: {scontrol(job)}", seconds)
    return scontrol(job)


def at_step(run: Path, step: int) -> None:
    """Wait until it has learnt from that many rollouts, and is not done."""

    def there() -> bool:
        path = run / "metrics.jsonl"
        return path.is_file() and f'"step": {step}, "split": "train"' in path.read_text()

    wait(there, lambda: f"{run} does not come to step {step}: {log_of(run)[-3000:]}")
    assert not (run / "summary.json").exists()


def asked_to_leave_and_requeued(run: Path, job: str) -> None:
    """Send USR1, as Slurm does ahead of the time limit, and wait until the job is back in the queue with its step saved."""
    subprocess.run(["scancel", "--signal=USR1", job], check=True, timeout=240)
    wait(lambda: scontrol(job)["Restarts"] == "1", lambda: f"not requeued: {log_of(run)[-3000:]}")
    (saved,) = (run / "checkpoints").glob("*/step.json")
    assert json.loads(saved.read_text())["step"] < 20


def demand_same_numbers(run: Path, other: Path) -> None:
    """Of every step, to the last bit, and of the end."""
    assert numbers(run) == numbers(other)
    assert json.loads((run / "summary.json").read_text()) == json.loads((other / "summary.json").read_text())


def log_of(run: Path) -> str:
    return "".join(path.read_text() for path in run.glob("slurm-*.out"))


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())
