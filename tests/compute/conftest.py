"""What the tests of whole commands in processes of their own share."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


@pytest.fixture
def in_background(tmp_path):
    """in_background(command, cache): it in a process of its own with its runs in tmp_path, which the end of the test ends."""
    running = []

    def start(command: Sequence[str], cache: Path) -> "subprocess.Popen[str]":
        env = os.environ | {"RLX_CACHE": str(cache), "RLX_RUNS": str(tmp_path / "runs")}
        env |= {"TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.communicate()
