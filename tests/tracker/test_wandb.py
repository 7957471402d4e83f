import logging
import time
from pathlib import Path

import pytest

from rlx.core.error import UserError
from rlx.tracker.wandb import RUN_ID_FILE, Wandb, has_key
from tests.tracker.wandb_file import items, records

CHOICE = Wandb(project="rlx", entity=None, tags="noise, final", mode="auto", init_timeout=2, finish_timeout=5)
KEY = "0123456789" * 4  # the form of a key


def files(run_dir: Path) -> list[Path]:
    return sorted(run_dir.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture
def told(tmp_path):
    """A short run, told offline."""
    tracker = CHOICE.start(tmp_path, {"seed": 3, "reward": {"num_members": 5}}, "warm-soup-ppo-kl-lab-0123abcd-seed3")
    tracker.log(0, {"gold/score": 1.0}, "heldout")
    tracker.log(1, {"objective/kl": 0.25})
    tracker.table("samples", ["step", "completion", "gold"], [[0, "<script>alert(1)</script>", 1.0], [0, "ok", None]])
    (tmp_path / "report.html").write_text("<h1>report</h1>")
    tracker.file(tmp_path / "report.html")
    tracker.finish({"gold/win_rate": 0.75})
    wait_for_the_end(tmp_path)
    return tmp_path


def wait_for_the_end(run_dir: Path) -> None:
    """W&B's own process may write its file after `finish` has returned."""
    deadline = time.monotonic() + 60
    while not any(record.HasField("exit") for file in files(run_dir) for record in records(file)):
        assert time.monotonic() < deadline, "no file with an end"
        time.sleep(0.05)


def test_an_offline_file_holds_what_was_told(told):
    by_kind: dict[str, list] = {}
    for record in records(files(told)[0]):
        kind = record.WhichOneof("record_type")
        by_kind.setdefault(kind, []).append(getattr(record, kind))
    run = by_kind["run"][0]
    assert (run.project, run.run_id) == ("rlx", (told / RUN_ID_FILE).read_text())
    assert (run.display_name, run.run_group) == ("warm-soup-ppo-kl-lab-0123abcd-seed3", "warm-soup-ppo-kl-lab-0123abcd")
    assert list(run.tags) == ["noise", "final"]
    config = items(run.config.update)
    assert (config["seed"], config["reward"]) == (3, {"num_members": 5})
    rows = [items(history.item) for history in by_kind["history"]]
    assert (rows[0]["step"], rows[0]["heldout/gold/score"]) == (0, 1.0)
    assert (rows[1]["step"], rows[1]["objective/kl"]) == (1, 0.25)
    assert rows[2]["samples._type"] == "table-file"
    assert rows[3]["report._type"] == "html-file"
    assert any(items(summary.update).get("gold/win_rate") == 0.75 for summary in by_kind["summary"])
    assert {"*"} == {metric.glob_name for metric in by_kind["metric"]} - {""}
    assert "output" not in by_kind and "output_raw" not in by_kind  # the console is not captured


def test_a_resumed_run_keeps_its_id(told):
    tracker = CHOICE.start(told, {"seed": 3}, "warm-soup-ppo-kl-lab-0123abcd-seed3")
    tracker.finish({})
    ids = {record.run.run_id for file in files(told) for record in records(file) if record.HasField("run")}
    assert ids == {(told / RUN_ID_FILE).read_text()}


def test_an_unreachable_server_costs_seconds_and_one_offline_file_not_the_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens on the discard port
    start = time.monotonic()
    with caplog.at_level(logging.INFO):
        tracker = CHOICE.start(tmp_path, {"note": f"key {KEY}"}, "run-seed0")
    assert caplog.text.count("could not start in mode online") == 1
    tracker.log(1, {"objective/kl": 0.25})
    tracker.finish({})
    assert time.monotonic() - start < 30
    assert len(files(tmp_path)) == 1
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    assert KEY not in caplog.text


def test_the_mode_is_offline_without_a_key_and_online_with_one(monkeypatch, tmp_path):
    assert CHOICE.effective_mode() == "offline"
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert has_key() and CHOICE.effective_mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org:8443/")
    assert CHOICE.effective_mode() == "offline"  # the key is for another host
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert CHOICE.effective_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert CHOICE.effective_mode() == "disabled"


def test_an_impossible_mode_is_the_user_s_to_mend(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "foo")
    with pytest.raises(UserError, match="WANDB_MODE=foo is none of online, offline"):
        CHOICE.effective_mode()


def test_after_a_failure_a_tracker_is_silent_and_has_said_so_once(tmp_path, caplog):
    tracker = CHOICE.start(tmp_path, {}, "run-seed0")
    tracker.finish({})  # W&B refuses rows after the end
    tracker.log(1, {"objective/kl": 0.0})
    tracker.file(tmp_path / "absent.html")
    assert "Traceback" not in caplog.text
