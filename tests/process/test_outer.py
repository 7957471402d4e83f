"""What is seen of another launcher without starting one. (Processes that torchrun starts: tests/compute/test_outer.py.)"""

import pytest

from rlx.cli import main
from rlx.core.error import UserError
from rlx.process import outer

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def started_by_torchrun(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)


def test_a_process_is_one_of_several_where_all_that_a_rendezvous_needs_is_said(monkeypatch, started_by_torchrun):
    assert outer.launched() and outer.rank() == 1
    monkeypatch.delenv("MASTER_PORT")
    assert not outer.launched() and outer.rank() == 0


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        ({"num_processes": 2}, "compute.num_processes=2, and another launcher started WORLD_SIZE=4"),
        ({"num_threads": 1}, "compute=cpu is one process, and another launcher started WORLD_SIZE=4"),
    ],
)
def test_another_number_of_processes_than_compute_says_is_refused(started_by_torchrun, compute, words):
    with pytest.raises(UserError, match=words):
        outer.check({"compute": compute})
    outer.check({"compute": {"num_processes": 4}})


def test_without_another_launcher_any_number_will_do():
    outer.check({"compute": {"num_processes": 2}})
    outer.refuse("rlx train -m")


def test_the_command_says_it_in_one_line_and_writes_nothing(started_by_torchrun, tmp_path, capsys):
    assert main(["train", f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rlx: compute=cpu is one process") and len(said.splitlines()) == 1
    assert main(["train", "-m", "seed=0,1", f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache"]) == 2
    assert "rlx train -m is for one process" in capsys.readouterr().err
    for verb in ("evaluate", "submit", "report", "doctor"):
        assert main([verb]) == 2
        assert f"rlx {verb} is for one process, and another launcher started 4" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_process_waits_for_the_first_one_and_not_for_ever(monkeypatch):
    asked = []
    outer.wait_for(lambda: bool(asked.append(1) or len(asked) > 1), "opened runs/a")
    assert len(asked) == 2
    monkeypatch.setattr(outer, "PATIENCE", 0)
    with pytest.raises(UserError, match="process 0 has not opened runs/a"):
        outer.wait_for(lambda: False, "opened runs/a")
