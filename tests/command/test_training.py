"""`rlx train` of one cell, up to where its run begins."""

import json

import pytest

from rlx.command.compose import compose
from rlx.command.training import train_one


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    rows = [{"prompt": f"question {i}", "chosen": "yes", "rejected": "no"} for i in range(400)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    return path


def test_what_is_left_out_is_said_by_the_run_and_not_before_it_too(pairs, capsys, caplog):
    words = ["world=preferences", f"world.path={pairs}", "model=pretrained", "model.path=a/b", "tracker=jsonl"]
    started = []
    with caplog.at_level("WARNING", logger="rlx"):
        assert (
            train_one(
                compose(words)[0],
                lambda: lambda path: started.append(path) or 0,
                lambda: lambda path: 0,
                lambda: lambda config: None,
            )
            == 0
        )
    assert len(started) == 1 and "duplicate pair" not in caplog.text + capsys.readouterr().err
