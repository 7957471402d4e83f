import json
import logging

import pytest

from rlx.artefact.training_state import MARK, latest, mark, marked_steps
from rlx.core.error import UserError

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json")


@pytest.fixture
def saved(tmp_path):
    """Two checkpoints, and the rows that were written until the second."""
    rows = tmp_path / "metrics.jsonl"
    for update, step in ((8, 2), (16, 4)):
        folder = tmp_path / "checkpoints" / f"checkpoint-{update}"
        folder.mkdir(parents=True)
        for name in FILES:
            (folder / name).write_bytes(f"{name} at {update}".encode())
        with rows.open("a") as file:
            file.write(json.dumps({"step": step}) + "\n")
        mark(folder, step, "whole", [rows], beta=0.1 * step)
    return tmp_path / "checkpoints"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def test_the_newest_one_with_a_mark_counts(saved):
    (saved / "checkpoint-24").mkdir()
    found = latest(saved)
    assert found is not None
    assert (found.path.name, found.step, found.layout, found.more) == ("checkpoint-16", 4, "whole", {"beta": 0.4})
    assert latest(saved / "none") is None
    assert marked_steps(saved) == [4, 2] and marked_steps(saved / "none") == []


@pytest.mark.parametrize("name", [*FILES, MARK])
@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.unlink()], ids=["flip", "cut", "deleted"])
def test_the_older_one_is_taken_where_a_file_of_the_newer_is_not_what_was_saved(saved, name, damage, caplog):
    damage(saved / "checkpoint-16" / name)
    with caplog.at_level(logging.WARNING):
        found = latest(saved)
    assert found is not None and found.step == 2
    assert (name, damage.__name__) == (MARK, "<lambda>") or any("checkpoint-16" in line for line in caplog.messages)
    damage(saved / "checkpoint-8" / name)
    assert latest(saved) is None


def test_a_mark_that_says_other_than_it_did_is_no_mark(saved):
    for content in ("[1, 2]", "{}", "", '{"step": "4"}', '{"step": 4, "layout": "whole", "more": {}, "files": 3}'):
        (saved / "checkpoint-16" / MARK).write_text(content)
        found = latest(saved)
        assert found is not None and found.step == 2


def test_rows_may_have_grown_since_but_not_changed(saved, caplog):
    rows = saved.parent / "metrics.jsonl"
    with rows.open("a") as file:
        file.write('{"step": 5}\n{"st')  # what a kill leaves
    found = latest(saved)
    assert found is not None and found.step == 4
    rows.write_text('{"step": 2}\n')
    with caplog.at_level(logging.WARNING):
        found = latest(saved)
    assert found is not None and found.step == 2
    assert "metrics.jsonl has lost rows" in caplog.text
    rows.write_text('{"step": 3}\n{"step": 4}\n')
    assert latest(saved) is None
    rows.unlink()
    assert latest(saved) is None


def test_one_of_another_layout_is_refused_with_both_and_what_to_do(tmp_path):
    (tmp_path / "checkpoint-8").mkdir()
    mark(tmp_path / "checkpoint-8", 2, "zero3 on 8 processes")
    found = latest(tmp_path)
    assert found is not None
    found.check("zero3 on 8 processes", "the policy")
    with pytest.raises(UserError) as error:
        found.check("zero3 on 4 processes", "the policy")
    assert str(error.value) == (
        f"{tmp_path}/checkpoint-8 was written as 'zero3 on 8 processes' and cannot be read as 'zero3 on 4 processes': go on "
        f"with the compute that wrote it, or delete {tmp_path} to train the policy from its start again"
    )
