"""A process that is to end with the one that started it, which is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

CHILD = """
import os, sys, time
from rlx.process.parent import PARENT, end_with_parent
end_with_parent()
assert PARENT not in os.environ
print(os.getpid(), flush=True)
time.sleep(60)
"""
STARTS = """
import os, subprocess, sys, time
from rlx.process.parent import PARENT
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=os.environ | {PARENT: str(os.getpid())})
time.sleep(60)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"  # ended, and nobody has asked how
    except FileNotFoundError:
        return True


def test_a_killed_parent_takes_its_child_with_it():
    parent = subprocess.Popen([sys.executable, "-c", STARTS, CHILD], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_whose_parent_was_gone_before_it_could_ask_ends_at_once():
    child = subprocess.run([sys.executable, "-c", CHILD], env=os.environ | {"RLX_PARENT": "1"}, timeout=30, check=False)
    assert child.returncode == -signal.SIGTERM
