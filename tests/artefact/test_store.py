import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from filelock import FileLock

from rlx.artefact.store import MANIFEST, Store, address, canonical, damaged
from rlx.core.error import UserError


@dataclass(frozen=True)
class Flour:
    VERSION: ClassVar[int] = 1
    grams: int

    def build(self, directory, store, seed):
        (directory / "flour.txt").write_text(f"{self.grams} g, seed {seed}")


@dataclass(frozen=True)
class Bread:
    VERSION: ClassVar[int] = 1
    flour: Flour
    salt: float = 0.5

    def build(self, directory, store, seed):
        flour = (store.fetch(self.flour, seed) / "flour.txt").read_text()
        (directory / "deep").mkdir()
        (directory / "deep" / "bread.txt").write_text(f"bread of {flour}")


@dataclass(frozen=True)
class Burnt(Flour):
    def build(self, directory, store, seed):
        (directory / "half.txt").write_text("half")
        raise RuntimeError("burnt")


def test_what_a_recipe_needs_is_built_first_and_shared(tmp_path):
    store = Store(tmp_path)
    path = store.fetch(Bread(Flour(500)), seed=3)
    assert (path / "deep" / "bread.txt").read_text() == "bread of 500 g, seed 3"
    assert store.has(Flour(500), 3) and not store.has(Flour(500), 4)


def test_an_artefact_is_built_once(tmp_path):
    first = Store(tmp_path).fetch(Flour(500), 0)
    stamp = (first / "flour.txt").stat().st_mtime_ns
    assert Store(tmp_path).fetch(Flour(500), 0) == first
    assert (first / "flour.txt").stat().st_mtime_ns == stamp


def test_the_address_follows_every_number_below_the_class_the_version_and_the_seed(monkeypatch):
    addresses = [
        address(Bread(Flour(500)), 0),
        address(Bread(Flour(501)), 0),
        address(Bread(Flour(500), 0.6), 0),
        address(Bread(Flour(500)), 1),
    ]
    monkeypatch.setattr(Flour, "VERSION", 2)
    addresses.append(address(Bread(Flour(500)), 0))
    assert len(set(addresses)) == 5


def test_an_object_with_a_fingerprint_is_known_by_it():
    class Data:
        def fingerprint(self):
            return {"sha256": "ab"}

    assert canonical({"data": Data(), "sizes": (1, 2)}) == {"data": ["Data", {"sha256": "ab"}], "sizes": [1, 2]}


@pytest.mark.parametrize("harm", ["change", "remove", "add", "manifest"])
def test_a_damaged_artefact_is_noticed_said_and_built_again(tmp_path, caplog, harm):
    path = Store(tmp_path).fetch(Flour(500), 0)
    if harm == "change":
        (path / "flour.txt").write_text("400 g, seed 0")
    elif harm == "remove":
        (path / "flour.txt").unlink()
    elif harm == "add":
        (path / "stone.txt").write_text("a stone")
    else:
        (path / MANIFEST).write_text("{")
    with caplog.at_level(logging.WARNING, logger="rlx"):
        again = Store(tmp_path).fetch(Flour(500), 0)
    assert damaged(again) is None and (again / "flour.txt").read_text() == "500 g, seed 0"
    assert not (again / "stone.txt").exists()
    assert "is damaged" in caplog.text


def test_a_build_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="burnt"):
        Store(tmp_path).fetch(Burnt(500), 0)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
    assert not Store(tmp_path).has(Burnt(500), 0)


def test_the_manifest_tells_recipe_seed_and_hashes(tmp_path):
    manifest = json.loads((Store(tmp_path).fetch(Flour(500), 7) / MANIFEST).read_text())
    assert manifest["recipe"] == ["Flour", 1, {"grams": 500}] and manifest["seed"] == 7
    assert list(manifest["files"]) == ["flour.txt"]


SLOW_BUILD = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from rlx.artefact.store import Store

@dataclass(frozen=True)
class Slow:
    VERSION = 1
    def build(self, directory, store, seed):
        with open(sys.argv[2], "a") as log:
            log.write("built\\n")
        time.sleep(0.5)
        (directory / "x").write_text("x")

Store(Path(sys.argv[1])).fetch(Slow(), 0)
"""


def test_of_several_processes_that_want_the_same_one_builds(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "store"), str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [p.wait(60) for p in processes] == [0, 0, 0]
    assert log.read_text() == "built\n"


KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
from test_store import Flour
from rlx.artefact.store import Store

class Killed(Flour):
    def build(self, directory, store, seed):
        (directory / "half.txt").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

Killed.__name__ = "Flour"
Store(Path(sys.argv[1])).fetch(Killed(int(sys.argv[2])), 0)
"""


def test_the_next_build_of_an_artefact_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    for grams in (500, 600):
        command = [sys.executable, "-c", KILLED_BUILD, str(tmp_path), str(grams)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        }
        killed = subprocess.run(command, timeout=60, env=environment, cwd=Path(__file__).parents[2], check=False)
        assert killed.returncode == -signal.SIGKILL
    left = {grams: list(tmp_path.glob(f"Flour-{address(Flour(grams), 0)}.*.tmp")) for grams in (500, 600)}
    assert len(left[500]) == len(left[600]) == 1
    Store(tmp_path).fetch(Flour(500), 0)
    assert list(tmp_path.glob("*.tmp")) == left[600]


def test_a_staging_directory_is_left_alone_while_its_artefact_is_locked(tmp_path):
    staging = tmp_path / f"Flour-{address(Flour(500), 0)}.live.tmp"
    staging.mkdir(parents=True)
    command = [sys.executable, "-c", KILLED_BUILD.replace("signal.SIGKILL", "0"), str(tmp_path), "500"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    }
    with FileLock(tmp_path / f"Flour-{address(Flour(500), 0)}.lock"):
        other = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])
        time.sleep(2)
        assert other.poll() is None and staging.is_dir()
    assert other.wait(60) == 0 and not staging.exists()


def test_a_manifest_keeps_the_seconds_of_its_own_building_without_those_of_its_parts(tmp_path, monkeypatch):
    wait = 1.0
    monkeypatch.setattr(Flour, "build", lambda self, directory, store, seed: time.sleep(wait))
    monkeypatch.setattr(Bread, "build", lambda self, directory, store, seed: store.fetch(self.flour, seed) and None)
    store = Store(tmp_path)
    store.fetch(Bread(Flour(1)), 0)
    flour, bread = store.seconds(Flour(1), 0), store.seconds(Bread(Flour(1)), 0)
    assert flour is not None and bread is not None and flour >= wait > bread
    assert store.seconds(Flour(2), 0) is None


def test_kin_that_differ_in_their_index_alone_say_how_long_building_takes(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Loaf(Flour):
        index: int = 0

    waits = {0: 0.0, 1: 0.3}
    monkeypatch.setattr(Loaf, "build", lambda self, directory, store, seed: time.sleep(waits[self.index]))
    store = Store(tmp_path)
    for index in (0, 1):
        store.fetch(Loaf(500, index), seed=7)
    found = store.seconds_of_kin(Loaf(500, 5))
    assert found is not None and found >= 0.3
    assert store.seconds_of_kin(Loaf(400, 5)) is None


def modes(path: Path) -> set[int]:
    return {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("umask", "root", "folders", "files"),
    [
        (0o022, 0o755, 0o755, 0o644),
        (0o077, 0o700, 0o700, 0o600),
        (0o022, 0o2775, 0o775, 0o664),
        (0o002, 0o775, 0o775, 0o664),
    ],
)
def test_artefacts_have_the_modes_of_the_umask_and_of_the_stores_group(tmp_path, umask, root, folders, files):
    """Staging folders, and files that libraries write by way of temporary ones, would be their maker's alone."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(root)
    before = os.umask(umask)
    try:
        path = Store(tmp_path / "store").fetch(Bread(Flour(500)), 0)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == (path / "deep").stat().st_mode & 0o777 == folders
    assert modes(path) == {files} == {lock.stat().st_mode & 0o777 for lock in (tmp_path / "store").glob("*.lock")}
    assert path.stat().st_mode & 0o2000 == root & 0o2000  # files stay the group's


def test_what_is_whole_in_a_store_of_another_user_is_read_without_its_lock(tmp_path, monkeypatch):
    path = Store(tmp_path).fetch(Flour(500), 0)

    def refuse(self, *arguments, **more):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert Store(tmp_path).fetch(Flour(500), 0) == path
    (path / "flour.txt").write_text("y")
    for grams in (500, 600):
        with pytest.raises(
            UserError, match=r"cannot be written to .Permission denied.*cache_dir to a folder of your own"
        ):
            Store(tmp_path).fetch(Flour(grams), 0)
