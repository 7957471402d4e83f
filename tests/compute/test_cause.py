"""Of many failures, the one that the others follow from."""

import json
import threading
import time
from dataclasses import asdict

import pytest

from rlx.compute import cause
from rlx.compute.cause import Failure, first, forget, of_all_nodes
from rlx.core.error import UserError, WorkerError

KILLED = Failure("process 1 on n2 failed: killed by SIGKILL", 20.0)
ECHO = Failure("process 0 on n1 failed: RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer", 10.0)
TOLD = Failure("process 2 on n1 failed: exit code 143", 5.0, stopped=True)


def test_what_failed_by_itself_goes_before_what_lost_its_peer_and_what_was_told_to_end_whenever_they_were_seen():
    assert first({0: ECHO, 1: KILLED, 2: TOLD}) == 1
    assert first({0: ECHO, 2: TOLD}) == 0
    assert first({0: Failure("b", 2.0), 1: Failure("a", 1.0)}) == 1


def test_a_node_that_lost_its_peer_gives_the_peers_reason(tmp_path):
    other = tmp_path / "node1"
    other.mkdir()
    threading.Timer(0.5, lambda: (other / "ended.json").write_text(json.dumps(asdict(KILLED)))).start()
    error = of_all_nodes(ECHO, tmp_path, node=0, num_nodes=2)
    assert isinstance(error, WorkerError) and str(error) == KILLED.reason
    assert str(of_all_nodes(KILLED, tmp_path, node=1, num_nodes=2)) == KILLED.reason


def test_a_users_mistake_on_one_node_is_one_on_all(tmp_path):
    mistake = Failure("model.path=nowhere: not in the Hub cache", 30.0, user_error=True)
    of_all_nodes(mistake, tmp_path, node=0, num_nodes=2)
    assert isinstance(of_all_nodes(ECHO, tmp_path, node=1, num_nodes=2), UserError)


def test_without_another_reason_the_echo_is_told_after_a_while_and_one_node_never_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(cause, "PATIENCE", 0.5)
    assert str(of_all_nodes(ECHO, tmp_path, node=0, num_nodes=2)) == ECHO.reason
    started = time.monotonic()
    monkeypatch.setattr(cause, "PATIENCE", 60)
    of_all_nodes(ECHO, tmp_path, node=0, num_nodes=1)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("node", [0, 1])
def test_what_an_earlier_attempt_left_is_forgotten(node, tmp_path):
    of_all_nodes(KILLED, tmp_path, node=node, num_nodes=2)
    forget(tmp_path, node)
    forget(tmp_path, node)
    assert list(tmp_path.rglob("ended.json")) == []
