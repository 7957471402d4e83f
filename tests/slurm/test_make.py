"""The Makefile's targets for a cluster, on a real Slurm."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlx.run.sweep_index import read_rows
from tests.slurm.jobs import (
    LONGER,
    ZERO2,
    ZERO3,
    demand_same_numbers,
    ended,
    job_of,
    log_of,
    only_run,
    scontrol,
    status,
)
from tests.test_train import MINIATURE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
WISHES = {
    "ARGS",
    "RUN",
    "NODES",
    "GPUS",
    "PARTITION",
    "TIME",
    "ACCOUNT",
    "QOS",
    "COMPUTE",
}  # taken from a shell as well


@pytest.fixture
def make(here):
    """Call make in the checkout, with the environment that runs the tests as it is; what it printed, within seconds."""
    if shutil.which("make") is None or not Path(sys.prefix, "bin", "rlx").is_file():
        pytest.skip("no make on this machine, or rlx is not installed in this environment")

    def call(*words: str) -> str:
        env = {name: value for name, value in os.environ.items() if name not in WISHES and not name.startswith("MAKE")}
        command = ["make", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.done", *words]
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began < 30  # it does not wait for the jobs
        return done.stdout

    return call


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        (ZERO2, []),  # what several processes share by default
        (ZERO3, ["COMPUTE=zero3"]),
    ],
)
def test_make_slurm_runs_on_two_nodes_with_the_numbers_of_two_local_processes(line, chosen, make, here, trained_here):
    args = shlex.join([*LONGER, *line[1:]])
    said = make("slurm", f"ARGS={args}", "NODES=2", "GPUS=0", "PARTITION=debug", "TIME=15", *chosen)
    run = only_run(here)
    job = job_of(run)
    assert f"job {job}: " in said and f"{run.name}/slurm-{job}.out" in said
    told = ended(job)
    assert (told["JobState"], told["ExitCode"], told["NumNodes"]) == ("COMPLETED", "0:0", "2"), log_of(run)[-3000:]
    assert (told["Partition"], told["TimeLimit"]) == ("debug", "00:15:00")
    demand_same_numbers(run, trained_here(*LONGER, *line))
    assert status(run)["state"] == "done" and status(run)["job"] == job
    (row,) = [row for row in make("slurm-status").splitlines() if run.name in row]
    assert "done" in row and "20 of 20" in row and job in row


def test_make_slurm_sweep_submits_a_job_that_prepares_and_one_a_cell(make, here):
    line = ["reward=single,ensemble_mean", "reward_model.num_trunks=1", "seed=0,1", *MINIATURE]
    said = make("slurm-sweep", f"ARGS={shlex.join(line)}", "PARTITION=debug", "TIME=15")
    (sweep,) = (here / "runs").glob("sweep-*")
    runs = [(sweep / row["run"]).resolve() for row in read_rows(sweep)]
    prepare, jobs = job_of(sweep), [job_of(run) for run in runs]
    assert "4 of 4 cells submitted" in said and f"scancel {' '.join([prepare, *jobs])}" in said
    assert {scontrol(job)["Dependency"] for job in jobs} == {f"afterany:{prepare}(unfulfilled)"}
    assert ended(prepare)["JobState"] == "COMPLETED", log_of(sweep)[-3000:]
    assert [ended(job)["JobState"] for job in jobs] == ["COMPLETED"] * 4, log_of(runs[0])[-3000:]
    assert all(status(run)["state"] == "done" for run in runs)
    for words in (["slurm-status"], ["slurm-status", f"RUN={sweep}"]):
        assert make(*words).count(" done ") == 5
