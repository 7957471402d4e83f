"""What a GPU would refuse, on machines without one: tensors of two devices in one operation, and models that are asked where
they were loaded. Kernels, precision and memory are not tested by this."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration as registration
from several_runs import done_alone

from tests.compute.test_launcher import MINIATURE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not hasattr(registration, "_setup_privateuseone_for_python_backend"), reason="this torch has no such device"
    ),
]
RUNS = {
    "ppo": "reward=warm reference=soup",
    "own critic": "reward=ensemble_wco optimizer.critic=separate optimizer.entropy_coefficient=0.01 regularizer=chi2 "
    "compute.micro_batch_size=1",
    "superhf": "optimizer=superhf optimizer.num_samples=4",
    "inpo": "optimizer=inpo optimizer.num_samples=4 reward=ensemble_uwo",
    "bon": "optimizer=bon optimizer.num_samples=8 optimizer.distill=true optimizer.num_distilled=32",
}


@pytest.mark.parametrize("name", RUNS)
def test_everything_lies_where_it_is_asked_and_the_numbers_are_the_cpus(name, tmp_path):
    line = [word for word in MINIATURE if not (name == "bon" and "num_minibatches" in word)]
    line = [*line, "num_steps=2", "evaluation.interval=1", *shlex.split(RUNS[name]), "compute=ddp"]
    _, alone = done_alone(tmp_path / "cpu", {name: line})
    env = os.environ | {"RLX_CACHE": str(tmp_path / "cache"), "RLX_RUNS": str(tmp_path / "runs")}
    env["PYTHONPATH"] = f"{Path(__file__).parents[2]}:{Path(__file__).parents[1]}"
    script = Path(__file__).parents[1] / "on_pretend_gpu.py"
    command = [sys.executable, str(script), str(tmp_path / "left"), "train", *line]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr[-3000:]
    (summary,) = (tmp_path / "runs").glob("*/summary.json")
    there, here = json.loads(summary.read_text()), json.loads((alone[name] / "summary.json").read_text())
    assert there == pytest.approx(here, rel=1e-3, abs=1e-3)
    left = json.loads((tmp_path / "left").read_text())
    assert [who for who in left if "says_its_logits" not in who] == []  # four tokens, once
