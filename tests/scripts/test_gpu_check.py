"""The script for GPUs, without one: it says so, or runs the same code at toy size on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "scripts/gpu_check.sh"


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [SCRIPT, *words], env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_succeeds():
    done = run()
    assert done.returncode == 0 and done.stdout.startswith("no GPU here") and done.stdout.count("\n") == 1


@pytest.mark.slow
def test_at_toy_size_on_the_cpu_every_check_runs_and_is_right(tmp_path):
    done = run("--device", "cpu", "--small", "--out", str(tmp_path / "table.md"))
    assert done.returncode == 0, done.stderr[-2000:]
    table = (tmp_path / "table.md").read_text()
    assert done.stdout.endswith(table) and table.count("| right |") == 7 and "wrong" not in table
    for words in (
        "bfloat16",
        "the lab's start",
        "all weights: drawing",
        "adapters of rank 16: learning",
        "WARM's gain",
        "adapters on one base: scoring by 5 members",
    ):
        assert words in table
