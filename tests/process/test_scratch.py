"""Folders for temporary files, of commands that end and of commands that are killed."""

import os
import time

import pytest
from filelock import FileLock

from rlx.process import scratch


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_at_the_end_and_not_taken_for_left_before(temporary):
    with scratch.scratch() as folder:
        (folder / "file").touch()
        os.utime(folder, (time.time() - 3600,) * 2)
        assert scratch.left() == []
    assert list(temporary.iterdir()) == []


def test_the_next_command_removes_what_a_killed_one_left_and_nothing_younger_or_foreign(temporary):
    old, young, foreign = (temporary / name for name in ("rlx-scratch-old", "rlx-scratch-young", "rlx-mine"))
    for folder in (old, young, foreign):
        folder.mkdir()
        (folder / "file").touch()
    for folder in (old, foreign):
        os.utime(folder, (time.time() - 3600,) * 2)
    with FileLock(old / ".lock"):
        os.utime(old, (time.time() - 3600,) * 2)
        assert scratch.left() == []
    os.utime(old, (time.time() - 3600,) * 2)
    with scratch.scratch():
        assert not old.exists() and young.is_dir() and foreign.is_dir()
