import json
import os
import subprocess
import sys

import pytest

from rlx.core.error import UserError
from rlx.run.status import STATUS, RunState, begin, end, forget, note_failure, state_of, status_of


def planted(folder, **status: object) -> None:
    (folder / STATUS).write_text(json.dumps(status))


def test_a_run_is_new_running_and_done(tmp_path, monkeypatch):
    monkeypatch.setattr("rlx.run.status._alive", lambda pid: pid == os.getpid())
    assert state_of(tmp_path) == RunState("new") and status_of(tmp_path) == {}
    begin(tmp_path)
    assert state_of(tmp_path).state == "running" and state_of(tmp_path).pid == os.getpid()
    end(tmp_path, "done")
    assert (state_of(tmp_path).state, state_of(tmp_path).reason) == ("done", "")
    forget(tmp_path)
    assert state_of(tmp_path) == RunState("new")


def test_the_first_start_is_kept_and_the_reason_of_an_earlier_end_is_not(tmp_path):
    planted(tmp_path, state="failed", reason="no memory", started="2026-01-01T00:00:00+0000")
    begin(tmp_path)
    assert status_of(tmp_path)["started"] == "2026-01-01T00:00:00+0000"
    assert (status_of(tmp_path)["reason"], status_of(tmp_path)["ended"]) == ("", None)


def test_a_process_that_is_gone_leaves_an_interrupted_run(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    planted(tmp_path, state="running", pid=int(gone.stdout))
    assert (state_of(tmp_path).state, state_of(tmp_path).reason) == ("interrupted", "its process is gone")


def test_a_process_of_another_machine_is_believed(tmp_path):
    planted(tmp_path, state="running", pid=2**22 + 1, host="elsewhere.example")
    assert state_of(tmp_path).state == "running" and state_of(tmp_path).elsewhere


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_file_that_says_nothing_is_a_run_cut_off_which_can_begin_again(tmp_path, text):
    (tmp_path / STATUS).write_text(text)
    assert state_of(tmp_path).state == "interrupted"
    begin(tmp_path)
    assert status_of(tmp_path)["state"] == "running"


def test_a_reader_that_needs_the_whole_file_names_it_where_it_is_not_json(tmp_path):
    (tmp_path / STATUS).write_text("{")
    with pytest.raises(UserError, match=r"status\.json is not JSON"):
        status_of(tmp_path)


@pytest.mark.parametrize("state", ["failed", "interrupted", "done"])
def test_a_failure_is_not_noted_over_an_end_that_is_known(tmp_path, state):
    planted(tmp_path, state=state, reason="as it was")
    note_failure(tmp_path, "the child ended with 1")
    assert status_of(tmp_path) == {"state": state, "reason": "as it was"}


def test_a_failure_is_noted_of_a_run_that_did_not_start_and_not_of_another_process(tmp_path):
    note_failure(tmp_path, "no memory")
    assert (state_of(tmp_path).state, state_of(tmp_path).reason) == ("failed", "no memory")
    planted(tmp_path, state="running", pid=2**22 + 1, host="elsewhere.example")
    note_failure(tmp_path, "no memory")
    assert state_of(tmp_path).state == "running"
