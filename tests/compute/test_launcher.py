"""One command, two processes: what ends one of them ends the run and is said; what asks them to stop loses nothing."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from several_runs import pids_of_workers

from rlx.process.stop import REQUEUE

pytestmark = pytest.mark.timeout(1200)  # s; several processes on few cores
MINIATURE = shlex.split(
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 'reward_model.dropouts=[0.0]' num_prompts=8 "
    "num_steps=6 evaluation.interval=3 evaluation.num_prompts=8 evaluation.final_num_prompts=16 checkpoint.interval=2 "
    "optimizer.num_minibatches=2 tracker=jsonl"
)
TWO = ["compute.num_processes=2"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def started(in_background, cache):
    """started(*overrides): `rlx train` in a process of its own."""

    def start(*overrides: str, verb: str = "train", cache: Path = cache) -> "subprocess.Popen[str]":
        return in_background([sys.executable, "-m", "rlx.cli", verb, *MINIATURE, *overrides], cache)

    return start


def run_dir(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


def rows(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 600
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_its_number_and_where_its_output_lies(started, tmp_path):
    process = started("compute=ddp", *TWO, "num_steps=1000", "evaluation.interval=1000")
    wait_for(tmp_path / "runs", "*/metrics.jsonl", process)
    twice = [sys.executable, "-m", "rlx.cli", "train", str(run_dir(tmp_path))]
    second = subprocess.run(twice, capture_output=True, text=True, timeout=240)
    assert second.returncode == 2 and "is at work on this run" in second.stderr.splitlines()[-1]
    assert json.loads((run_dir(tmp_path) / "status.json").read_text())["state"] == "running"
    os.kill(pids_of_workers(process.pid)[1], signal.SIGKILL)
    said = process.communicate(timeout=240)[0]
    assert process.returncode == 1
    status = json.loads((run_dir(tmp_path) / "status.json").read_text())
    assert status["state"] == "failed" and "process 1" in status["reason"] and "SIGKILL" in status["reason"]
    last = said.splitlines()[-1]
    assert last.startswith("rlx: process 1") and status["reason"] in last
    assert Path(last.rpartition("its output: ")[2]).is_file()
    assert pids_of_workers(process.pid) == []


@pytest.mark.slow
def test_a_mistake_that_only_the_processes_can_see_is_one_line_and_exit_code_2(started, tmp_path):
    process = started("compute=ddp", *TWO, "torch_optimizer.learning_rate=1e30")
    said = process.communicate(timeout=240)[0]
    assert process.returncode == 2, said
    assert [line for line in said.splitlines() if line.startswith("rlx: ")][-1].startswith("rlx: ")
    assert "learning_rate" in said.splitlines()[-1]
    assert json.loads((run_dir(tmp_path) / "status.json").read_text())["state"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["ddp", "zero3"])
def test_a_run_asked_to_stop_saves_its_step_and_goes_on_to_the_numbers_of_an_undisturbed_one(
    started, tmp_path, compute
):
    spread = [f"compute={compute}", *TWO]
    spread += ["compute.persistence_threshold=0"] if compute == "zero3" else []
    whole = started(*spread, "name=whole")
    said = whole.communicate(timeout=300)[0]
    assert whole.returncode == 0, said
    process = started(*spread, "name=stopped")
    wait_for(tmp_path / "runs", "stopped-seed0/metrics.jsonl", process)
    process.send_signal(signal.SIGUSR1)
    said = process.communicate(timeout=240)[0]
    assert process.returncode == REQUEUE, said
    stopped, undisturbed = tmp_path / "runs" / "stopped-seed0", tmp_path / "runs" / "whole-seed0"
    assert json.loads((stopped / "status.json").read_text())["state"] == "interrupted"
    done = max(row["step"] for row in rows(stopped))
    assert done < 6 and [json.loads(p.read_text())["step"] for p in stopped.glob("checkpoints/*/step.json")]
    again = started(*spread, "name=stopped")
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0 and "going on after step" in said, said
    assert rows(stopped) == rows(undisturbed)


@pytest.mark.slow
def test_a_checkpoint_that_every_process_has_whole_is_read_by_any_number_and_one_in_parts_is_refused(started, tmp_path):
    process = started("compute=ddp", *TWO, "name=whole", "num_steps=40", "evaluation.interval=40")
    wait_for(tmp_path / "runs", "*/checkpoints/*/step.json", process)
    process.terminate()
    process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGTERM
    alone = started("compute=cpu", "name=whole", "num_steps=40", "evaluation.interval=40")
    said = alone.communicate(timeout=300)[0]
    assert alone.returncode == 0 and "going on after step" in said, said
    process = started("compute=zero2", *TWO, "name=parts", "num_steps=40", "evaluation.interval=40")
    wait_for(tmp_path / "runs", "parts-seed0/checkpoints/*/step.json", process)
    process.terminate()
    process.communicate(timeout=240)
    alone = started("compute=cpu", "name=parts", "num_steps=40", "evaluation.interval=40")
    said = alone.communicate(timeout=240)[0]
    assert alone.returncode == 2
    assert "was written as 'zero2 on 2 processes' and cannot be read as 'whole'" in said


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["ddp", "zero2", "zero3"])
def test_an_artefact_asked_to_stop_goes_on_to_the_files_of_an_undisturbed_one(started, tmp_path, compute):
    line = [f"compute={compute}", *TWO, "sft.num_epochs=10", "reward_model.num_epochs=10"]
    line += ["compute.persistence_threshold=0"] if compute == "zero3" else []
    whole = started(*line, verb="prepare", cache=tmp_path / "whole")
    said = whole.communicate(timeout=300)[0]
    assert whole.returncode == 0, said
    for kind in ("SFTPolicy", "RewardMember"):
        process = started(*line, "checkpoint.minutes=0", verb="prepare", cache=tmp_path / "stopped")
        wait_for(tmp_path / "stopped", f"{kind}-*.unfinished/checkpoint-*/step.json", process)
        process.send_signal(signal.SIGUSR1)
        said = process.communicate(timeout=240)[0]
        assert process.returncode == REQUEUE, said
        assert list((tmp_path / "stopped").glob(f"{kind}-*.unfinished"))
    again = started(*line, verb="prepare", cache=tmp_path / "stopped")
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0 and "going on after update" in said, said
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")
    assert not list((tmp_path / "stopped").glob("*.unfinished")) and not list((tmp_path / "stopped").glob("*.tmp"))


def hashes(cache: Path) -> dict[str, dict[str, str]]:
    """Artefact -> its files' hashes."""
    return {path.parent.name: json.loads(path.read_text())["files"] for path in cache.glob("*/manifest.json")}


def test_what_cannot_be_shared_is_refused_before_anything_runs(started, tmp_path):
    for overrides, words in (
        (["compute=ddp", "compute.num_processes=3"], "num_prompts=8 cannot be shared by compute.num_processes=3"),
        (["compute=ddp", "compute.num_processes=2", "sft.batch_size=33"], "sft.batch_size=33 is for all processes"),
        (["compute=ddp", "compute.num_processes=2", "compute.num_nodes=3"], "compute.num_nodes=3"),
    ):
        process = started(*overrides)
        said = process.communicate(timeout=240)[0]
        assert process.returncode == 2 and words in said and len(said.splitlines()) == 1, said
    assert not (tmp_path / "runs").exists()
