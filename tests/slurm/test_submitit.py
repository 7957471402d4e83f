"""The script that docs/scale.md gives to those who want Hydra's submitit launcher, on a real Slurm."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.jobs import status
from tests.test_train import MINIATURE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_the_pages_script_runs_a_sweep_through_submitit_to_the_end(here):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    (script,) = re.findall(r"```python\n(# (submitit_runs\.py) .*?)```", PAGE.read_text(), re.DOTALL)
    (here / script[1]).write_text(script[0])
    line = ["-m", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug", "seed=0,1", *MINIATURE]
    subprocess.run([sys.executable, script[1], *line], check=True, timeout=400)
    runs = sorted(path.parent for path in (here / "runs").glob("*/config.yaml"))
    assert [run.name[-5:] for run in runs] == ["seed0", "seed1"]
    assert [status(run)["state"] for run in runs] == ["done", "done"]
    assert all(status(run)["job"] for run in runs)
