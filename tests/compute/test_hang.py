"""A process that the others wait for in vain ends the run in `compute.timeout`, and it is said where they waited."""

import time
from pathlib import Path

import hung_runs
import pytest

from rlx.compute import hang
from rlx.compute.launcher import launch
from rlx.core.error import WorkerError

GLOO = "[../gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 5000ms for recv operation to complete"
NCCL = (
    "[rank0]:[E] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE, NumelIn=1, "
    "NumelOut=1, Timeout(ms)=600000) ran for 600029 milliseconds before timing out."
)
ROOT = hang.PACKAGE.parent


@pytest.mark.parametrize(("text", "seconds"), [(GLOO, 5), (NCCL, 600), ("Connection closed by peer", None)])
def test_what_gloo_and_nccl_say_of_a_collective_that_waited_in_vain_is_known(text, seconds):
    assert hang.in_vain(text) == seconds


def test_another_error_is_worded_as_it_is():
    assert hang.worded(ValueError("one\n  two")) == "ValueError: one two"


STACK = f"""Current thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py", line 4807 in barrier
  File "{ROOT}/rlx/process/processes.py", line 61 in wait
  File "{ROOT}/rlx/artefact/training_state.py", line 34 in mark
  File "{ROOT}/rlx/train.py", line 70 in run
"""


def test_a_stack_says_where_in_rlx_a_process_was_and_whether_it_waited_there_for_others():
    assert hang.place_in(STACK) == "rlx/artefact/training_state.py:34 (mark)" and hang.in_collective(STACK)
    asleep = STACK.replace("/usr/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py", "/usr/lib/nfs.py")
    assert not hang.in_collective(asleep)
    assert hang.place_in(STACK.replace(str(ROOT), "/elsewhere")) == "distributed_c10d.py:4807 (barrier)"
    assert hang.place_in("no frames") is None and not hang.in_collective("no frames")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_that_never_comes_ends_the_run_but_one_that_builds_an_artefact_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{ROOT}")
    started = time.monotonic()
    with pytest.raises(WorkerError) as error:
        launch("hung_runs", tmp_path, hung_runs.compute_of_two(), tmp_path / "processes")
    assert time.monotonic() - started < 200
    said = str(error.value)
    assert said.startswith("process 0 on ") and "\n" not in said
    assert f"waited {hung_runs.TIMEOUT:g} s in vain for the other processes" in said
    assert "; local process 1 was at hung_runs.py:" in said and "(sleep_for_ever)" in said
    printed = [path.read_text() for path in (tmp_path / "processes").glob("node0/*/attempt_0/*/stdout.log")]
    assert printed == ["built\n", "built\n"]  # both have come past the artefact
