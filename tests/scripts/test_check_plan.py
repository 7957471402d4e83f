"""What is planned is no less than what a run takes, and not much more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/check_plan.py"


@pytest.mark.slow
def test_the_memory_of_a_measured_run_is_at_most_that_of_its_plan_and_within_fifteen_percent(tmp_path):
    words = [sys.executable, SCRIPT, "--only", "lab, WARM", "--out", tmp_path]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| lab, WARM")]
    assert all(1 <= float(cell) <= 1.15 for cell in (row.split("|")[3], row.split("|")[5]))
