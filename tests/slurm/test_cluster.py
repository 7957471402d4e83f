"""Runs as jobs of a real Slurm: on two nodes, with a process that is killed, preempted and requeued, and as a sweep."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rlx.cli import main
from rlx.run.sweep_index import read_rows
from rlx.slurm.job import submitted
from tests.slurm.jobs import (
    LONGER,
    asked_to_leave_and_requeued,
    at_step,
    demand_same_numbers,
    ended,
    log_of,
    on_two_nodes,
    scontrol,
    status,
    submit,
    wait,
)
from tests.test_train import MINIATURE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LINE = [*LONGER, "compute=ddp"]
TWO_NODES = on_two_nodes(*LINE)


@pytest.fixture(scope="module")
def local(trained_here):
    return trained_here(*LINE)


def test_a_two_node_job_ends_with_the_numbers_of_a_local_run(local, here, capsys):
    started = time.monotonic()
    run, job = submit(here, *TWO_NODES)
    assert time.monotonic() - started < 20  # it does not wait for the run
    told = ended(job)
    assert (told["JobState"], told["ExitCode"], told["NumNodes"]) == ("COMPLETED", "0:0", "2"), log_of(run)[-3000:]
    demand_same_numbers(run, local)
    assert status(run)["state"] == "done" and status(run)["job"] == job
    assert main(["status", run.name]) == 0
    assert re.search(rf"done +20 of 20 +{job}", capsys.readouterr().out)
    assert main(["submit", *TWO_NODES]) == 0 and "is done" in capsys.readouterr().out


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_with_a_code_and_the_reason_in_one_place(rank, local, here, capsys):
    run, job = submit(here, *TWO_NODES)
    at_step(run, 2)
    assert main(["submit", *TWO_NODES]) == 2
    assert f"job {job} (RUNNING) is for" in capsys.readouterr().err
    (victim,) = [pid for pid in workers(run) if f"RANK={rank}".encode() in environ(pid)]
    os.kill(victim, signal.SIGKILL)
    told = ended(job, seconds=90)
    assert (told["JobState"], told["ExitCode"]) == ("FAILED", "1:0")
    reason = status(run)["reason"]
    assert status(run)["state"] == "failed" and re.match(
        rf"process {rank} on \S+ failed: killed by SIGKILL; its output: ", reason
    )
    assert log_of(run).splitlines().count(f"rlx: {reason}") == 2  # one a node, and no other reason
    assert not workers(run)
    assert main(["status", run.name]) == 0
    assert "killed by SIGKILL" in capsys.readouterr().out


def workers(run: Path) -> list[int]:
    """The processes of this machine that train it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"rlx.compute.worker" in words and str(run / "config.yaml").encode() in words:
            found.append(int(path.parent.name))
    return found


def environ(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_job_asked_to_leave_saves_is_requeued_and_ends_with_the_numbers_of_an_undisturbed_one(local, here):
    run, job = submit(here, *TWO_NODES)
    at_step(run, 3)
    asked_to_leave_and_requeued(run, job)
    told = ended(job)
    assert (told["JobState"], told["Restarts"]) == ("COMPLETED", "1"), log_of(run)[-3000:]
    assert f"rlx: job {job} goes back into the queue" in log_of(run) and "going on after step" in log_of(run)
    demand_same_numbers(run, local)


def test_a_job_asked_to_leave_while_an_artefact_trains_goes_on_with_it(here, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", str(here / "own cache"))
    run, job = submit(here, *TWO_NODES, "sft.num_epochs=20", "checkpoint.minutes=0")
    wait(
        lambda: list(here.glob("own cache/SFTPolicy-*.unfinished/*/step.json")),
        lambda: f"no checkpoint of an SFT policy: {log_of(run)[-3000:]}",
    )
    subprocess.run(["scancel", "--signal=USR1", job], check=True, timeout=240)
    told = ended(job)
    assert (told["JobState"], told["Restarts"]) == ("COMPLETED", "1"), log_of(run)[-3000:]
    assert f"rlx: job {job} goes back into the queue" in log_of(run)
    assert "SFT policy 0: going on after update" in log_of(run)
    assert status(run)["state"] == "done" and not list(here.glob("own cache/*.unfinished"))


def test_a_job_that_slurm_preempts_for_another_goes_on_after_it(local, here):
    run, job = submit(here, *TWO_NODES)
    at_step(run, 3)
    command = ["sbatch", "--wait", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=srun true"]
    subprocess.run(command, check=True, timeout=240)
    told = ended(job)
    assert (told["JobState"], told["Restarts"]) == ("COMPLETED", "1"), log_of(run)[-3000:]
    assert "going on after step" in log_of(run)
    demand_same_numbers(run, local)


def test_a_cancelled_job_saves_and_does_not_come_back(local, here, capsys):
    run, job = submit(here, *TWO_NODES)
    at_step(run, 2)
    subprocess.run(["scancel", job], check=True, timeout=240)
    told = ended(job, seconds=90)
    assert (told["JobState"], told["Restarts"]) == ("CANCELLED", "0")
    wait(lambda: status(run)["state"] != "running", lambda: "it does not say that it was stopped", seconds=30)
    assert (status(run)["state"], status(run)["reason"]) == ("interrupted", "stopped by SIGTERM")
    assert list((run / "checkpoints").glob("*/step.json"))
    time.sleep(10)  # a requeued job would wait for 5
    assert scontrol(job)["JobState"] == "CANCELLED"


def test_a_sweep_is_built_by_one_job_and_run_by_four(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "my runs"))  # with a blank
    monkeypatch.chdir(tmp_path)
    line = shlex.split("-m reward=single,ensemble_mean reward_model.num_trunks=1 seed=0,1")
    assert main(["submit", *line, *MINIATURE]) == 0
    (sweep,) = (tmp_path / "my runs").glob("sweep-*")
    prepare = submitted(sweep)
    runs = [(sweep / row["run"]).resolve() for row in read_rows(sweep)]
    jobs = [job.id for run in runs if (job := submitted(run)) is not None]
    assert prepare is not None and len(jobs) == 4
    assert {scontrol(job)["Dependency"] for job in jobs} == {f"afterany:{prepare.id}(unfulfilled)"}
    assert ended(prepare.id)["JobState"] == "COMPLETED"
    assert [ended(job)["JobState"] for job in jobs] == ["COMPLETED"] * 4, log_of(runs[0])[-3000:]
    assert all(status(run)["state"] == "done" for run in runs)
    built = max(path.stat().st_mtime for path in (tmp_path / "cache").glob("*/manifest.json"))
    assert built < min((run / "metrics.jsonl").stat().st_mtime for run in runs)
    capsys.readouterr()
    assert main(["status", str(sweep)]) == 0
    assert capsys.readouterr().out.count(" done ") == 5
    assert main(["report", str(sweep)]) == 0
    assert "4 cells done" in (sweep / "report.html").read_text()
    assert main(["submit", *line, *MINIATURE]) == 0
    assert "all 4 cells are done" in capsys.readouterr().out
