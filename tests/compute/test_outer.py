"""Processes that another launcher starts do what those do that rlx starts."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.compute.test_launcher import MINIATURE, TWO, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # s; several processes on few cores
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "127.0.0.1:0", "-m", "rlx.cli"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def started(in_background, cache):
    """started(launcher, name, *overrides): `rlx train` under `launcher`."""

    def start(launcher: list[str], name: str, *overrides: str) -> "subprocess.Popen[str]":
        return in_background([*launcher, "train", *MINIATURE, f"name={name}", *overrides], cache)

    return start


def test_torchrun_gives_the_numbers_of_rlx_own_processes(started, tmp_path):
    own = started([sys.executable, "-m", "rlx.cli"], "own", "compute=ddp", *TWO)
    said = own.communicate(timeout=500)[0]
    assert own.returncode == 0, said
    others = started(TORCHRUN, "others", "compute=ddp", *TWO)
    said = others.communicate(timeout=500)[0]
    assert others.returncode == 0, said
    first, second = (tmp_path / "runs" / f"{name}-seed0" for name in ("own", "others"))
    assert rows(first) == rows(second)
    assert (second / "report.html").is_file() and json.loads((second / "status.json").read_text())["state"] == "done"
    one, two = (load_file(run / "model" / "model.safetensors") for run in (first, second))
    assert one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)
    assert not list((second / "processes").glob("**/attempt_*"))  # what a launcher of its own would write


def test_what_ends_one_of_torchruns_processes_is_said_by_all(started, tmp_path):
    wrong = started(TORCHRUN, "wrong", "compute=ddp", *TWO, "torch_optimizer.learning_rate=1e30")
    said = wrong.communicate(timeout=500)[0]
    assert wrong.returncode != 0 and "rlx: the loss became" in said
    status = json.loads((tmp_path / "runs" / "wrong-seed0" / "status.json").read_text())
    assert status["state"] == "failed" and "learning_rate" in status["reason"]


def test_a_run_that_torchrun_is_asked_to_end_saves_its_step_and_goes_on(started, tmp_path):
    process = started(TORCHRUN, "stopped", "compute=ddp", *TWO)
    metrics, deadline = tmp_path / "runs" / "stopped-seed0" / "metrics.jsonl", time.monotonic() + 400
    while not metrics.is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)
    assert json.loads(Path(metrics.with_name("status.json")).read_text())["state"] == "interrupted"
    again = started(TORCHRUN, "stopped", "compute=ddp", *TWO)
    said = again.communicate(timeout=500)[0]
    assert again.returncode == 0 and "going on after step" in said, said
    assert max(row["step"] for row in rows(metrics.parent)) == 6
