"""The table that people read is the one that the code would print."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_table_of_memory_is_what_the_estimate_says():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/memory_table.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("| GB a process |") and done.stdout in (ROOT / "docs/scale.md").read_text()
