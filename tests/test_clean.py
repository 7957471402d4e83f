"""What `rlx clean` shows and frees, and what it leaves alone: a store and runs as commands and kills leave them."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from filelock import FileLock

from rlx.artefact.manifest import parts_of
from rlx.artefact.store import Store
from rlx.artefact.use import FOLDER, users
from rlx.clean import in_units
from rlx.cli import main

LONG_AGO = 100 * 86400.0  # s


@dataclass(frozen=True)
class Flour:
    VERSION: ClassVar[int] = 1
    grams: int

    def build(self, directory, store, seed):
        (directory / "flour.txt").write_text("x" * self.grams)


@dataclass(frozen=True)
class Bread:
    VERSION: ClassVar[int] = 1
    flour: Flour

    def build(self, directory, store, seed):
        store.fetch(self.flour, seed)
        (directory / "bread.txt").write_text("y" * 1000)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "cache"


def made(store: Path, recipe, age: float = LONG_AGO) -> Path:
    """An artefact that was last used `age` seconds ago, by a process that is gone."""
    path = Store(store).fetch(recipe, 0)
    aged(path, age)
    return path


def aged(path: Path, age: float = LONG_AGO) -> Path:
    for file in (*path.rglob("*"), path):
        os.utime(file, (time.time() - age,) * 2)
    return path


def folder(path: Path, *files: str) -> Path:
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("z" * 500)
    return path


def run_of(store: Path, name: str, **files: object) -> Path:
    run = folder(store.parent / "runs" / name, "config.yaml")
    for file, content in files.items():
        (run / f"{file}.json").write_text(json.dumps(content))
    return run


def test_nothing_is_removed_without_a_word_to_confirm(store, capsys):
    path = made(store, Flour(5000))
    assert main(["clean"]) == 0
    said = capsys.readouterr().out
    assert path.is_dir() and str(path.name) in said and "100 days ago" in said
    assert "5.2 KB in 1 places would be freed; nothing was removed. `rlx clean --yes` removes it." in said


def test_what_nobody_uses_is_freed(store, capsys):
    path = made(store, Flour(5000))
    assert main(["clean", "--yes"]) == 0
    assert not path.exists() and "5.2 KB in 1 places are freed." in capsys.readouterr().out
    assert main(["clean"]) == 0 and "Nothing to free." in capsys.readouterr().out


def test_artefacts_of_runs_and_of_sweeps_stay_with_what_they_are_made_from(store, capsys):
    bread, flour, other, loose = (
        made(store, recipe) for recipe in (Bread(Flour(5)), Flour(5), Flour(6), Bread(Flour(7)))
    )
    assert parts_of(bread) == {flour.name}
    run_of(store, "a-seed0", provenance={"artefacts": {"SFT policy 0": bread.name}})
    run_of(store, "sweep-1", prepared={"needs": {"b-seed0": [other.name]}})
    assert main(["clean", "--yes", "--all"]) == 0
    assert bread.is_dir() and flour.is_dir() and other.is_dir() and not loose.exists()
    said = capsys.readouterr().out
    assert "stays: run a-seed0 uses it" in said and "stays: run sweep-1 uses it" in said


def test_what_was_used_of_late_stays_for_as_many_days_as_are_asked_for(store):
    path = made(store, Flour(5), age=3 * 86400)
    assert main(["clean", "--yes"]) == 0 and path.is_dir()
    assert main(["clean", "--yes", "--days", "4"]) == 0 and path.is_dir()
    assert main(["clean", "--yes", "--days", "2"]) == 0 and not path.exists()


def test_a_fetch_is_a_use(store):
    path = made(store, Flour(5))
    Store(store).fetch(Flour(5), 0)
    assert main(["clean", "--yes"]) == 0 and path.is_dir()


USER = """
import sys, time
from pathlib import Path
from rlx.artefact.use import Use
use = Use(Path(sys.argv[1]))
use.note(sys.argv[2])
print("up", flush=True)
time.sleep(60)
"""


def test_what_a_living_process_has_fetched_stays_and_a_killed_ones_does_not(store, capsys):
    path = made(store, Flour(5))
    command = [sys.executable, "-c", USER, str(store), path.name]
    user = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert user.stdout is not None and user.stdout.readline() == "up\n"
        aged(path)
        assert main(["clean", "--yes", "--days", "0", "--all"]) == 0 and path.is_dir()
        assert f"-{user.pid} uses it" in capsys.readouterr().out
    finally:
        user.kill()
        user.wait()
    assert main(["clean", "--yes", "--days", "0"]) == 0 and not path.exists()
    assert users(store) == {} and list((store / FOLDER).iterdir()) == []


def test_a_store_forgets_a_user_that_has_ended(store):
    path = made(store, Flour(5))
    user = Store(store)
    user.fetch(Flour(5), 0)
    assert users(store) == {path.name: f"{os.uname().nodename}-{os.getpid()}"}
    del user
    assert users(store) == {} and list((store / FOLDER).iterdir()) == []


def test_what_killed_builds_left_goes_and_a_living_builds_stays(store, capsys):
    name = "SFTPolicy-0123456789abcdef"
    killed, unfinished, damaged = (
        folder(store / f"{name}.k1lled.tmp", "model"),
        folder(store / f"{name}.unfinished", "checkpoint-1/model"),
        folder(store / "SFTPolicy-00000000000000ff", "model"),
    )
    with FileLock(store / f"{name}.lock"):
        assert main(["clean", "--yes"]) == 1
        assert killed.is_dir() and not damaged.exists()
        assert "a process is building it" in capsys.readouterr().out
    assert main(["clean", "--yes"]) == 0
    assert not killed.exists() and unfinished.is_dir()  # its training goes on when it is asked for again
    aged(unfinished)
    assert main(["clean", "--yes"]) == 0 and not unfinished.exists()


def test_what_is_not_rlx_own_is_not_touched(store):
    foreign = [folder(store / name, "file") for name in ("my-notes", "results-2024", "a-0123456789abcdef.bak")]
    for path in foreign:
        aged(path)
    (store / "linked-0123456789abcdef").symlink_to(foreign[0])
    assert main(["clean", "--yes", "--days", "0"]) == 0
    assert all((path / "file").is_file() for path in foreign)


def test_checkpoints_of_done_runs_go_only_where_that_is_asked_for(store):
    done = run_of(store, "a-seed0", status={"state": "done"}, summary={})
    whole = folder(done, "checkpoints/checkpoint-8/model", "model/config.json", ".status.json.7.part")
    cut = folder(run_of(store, "b-seed0", status={"state": "interrupted"}), "checkpoints/checkpoint-8/model")
    pruned = folder(run_of(store, "c-seed0", status={"state": "done"}), "checkpoints/checkpoint-8/model")
    assert main(["clean", "--yes"]) == 0
    assert (whole / "checkpoints" / "checkpoint-8").is_dir() and not (whole / ".status.json.7.part").exists()
    assert main(["clean", "--yes", "--checkpoints"]) == 0
    assert not (whole / "checkpoints" / "checkpoint-8").exists() and (whole / "model" / "config.json").is_file()
    assert all((run / "checkpoints" / "checkpoint-8").is_dir() for run in (cut, pruned))


def test_a_run_at_work_keeps_what_it_is_writing(store, capsys):
    run = folder(run_of(store, "a-seed0", status={"state": "running"}), ".summary.json.7.part")
    with FileLock(run / ".lock"):
        assert main(["clean", "--yes"]) == 1
        assert "a process is at work on the run" in capsys.readouterr().out
    assert (run / ".summary.json.7.part").is_file()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--runs nowhere", "--runs nowhere: no such folder"),
        ("--days -1", "--days -1: must be at least 0"),
        ("--dayz 3", "unrecognized arguments: --dayz 3"),
    ],
)
def test_a_wrong_line_is_one_line(line, said, store, capsys):
    assert main(["clean", *line.split()]) == 2
    assert said in capsys.readouterr().err


def test_sizes_are_written_as_people_read_them():
    assert [in_units(size) for size in (0, 999, 1500, 2.5e9, 4e12)] == ["0 B", "999 B", "1.5 KB", "2.5 GB", "4.0 TB"]
