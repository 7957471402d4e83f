import os
import re
from pathlib import Path

import pytest

from rlx.process import atomic

RLX = Path(__file__).parents[2] / "rlx"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path):
    atomic.write(tmp_path / "a.txt", "old")
    atomic.write(tmp_path / "a.txt", "χ²\n")
    assert (tmp_path / "a.txt").read_bytes() == "χ²\n".encode()
    assert names(tmp_path) == ["a.txt"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    atomic.write(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic.file(tmp_path / "a.txt") as part:
        part.write_text("half")
        assert (tmp_path / "a.txt").read_text() == "old"
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole_with_no_file_of_the_old_one(tmp_path):
    for name in ("old", "new"):
        with atomic.folder(tmp_path / "model") as part:
            (part / name).write_text(name)
    assert names(tmp_path / "model") == ["new"]
    assert names(tmp_path) == ["model"]


def test_an_error_while_filling_leaves_the_old_folder(tmp_path):
    with atomic.folder(tmp_path / "model") as part:
        (part / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic.folder(tmp_path / "model") as part:
        (part / "half").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["model"]


def test_what_a_killed_process_left_does_not_end_up_in_the_next_folder(tmp_path):
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "half").write_text("half")
    with atomic.folder(tmp_path / "model") as part:
        (part / "whole").write_text("whole")
    assert names(tmp_path / "model") == ["whole"]


def test_no_other_module_names_a_part_of_its_own():
    """`store.py` stages artefacts under a lock, and `doctor.py` reports what a killed build left there."""
    named = {path.name for path in RLX.rglob("*.py") if re.search(r'\.(part|tmp)\b["}]', path.read_text())}
    assert named == {"atomic.py", "store.py", "doctor.py"}


def test_content_and_name_are_on_the_disk_before_the_file_counts_as_written(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def replaced(part, path):
        done.append("replaced")
        return replace(part, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    atomic.write(tmp_path / "a.txt", "text")
    assert done == [(tmp_path / "a.txt").stat().st_ino, "replaced", tmp_path.stat().st_ino]
