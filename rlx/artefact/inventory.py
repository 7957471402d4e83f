"""What lies in a store: artefacts, what killed builds left, and trainings that were cut off; each with its size and last use."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from rlx.artefact.manifest import MANIFEST
from rlx.artefact.use import users

# Only folders of these names are rlx's own; whatever else lies in the store is left alone.
NAME = re.compile(r"(?P<artefact>\w+-[0-9a-f]{16})(?P<rest>|\.\w+\.tmp|\.unfinished)")
Kind = Literal["artefact", "damaged artefact", "killed build", "unfinished training"]


@dataclass(frozen=True)
class Item:
    """A folder of the store. `artefact`: the name of what it is or was to become. `used`: seconds since the epoch."""

    path: Path
    kind: Kind
    artefact: str
    bytes: int
    used: float

    def free(self) -> str | None:
        """Remove it, unless a process builds or uses it; return why it stays, or None once it is gone."""
        lock = FileLock(self.path.parent / f"{self.artefact}.lock")
        try:
            with lock.acquire(timeout=0):
                process = users(self.path.parent).get(self.artefact)
                if process is not None and self.kind in ("artefact", "damaged artefact"):
                    return f"process {process} uses it"
                (self.path / MANIFEST).unlink(missing_ok=True)  # first: what is removed in part is no artefact
                shutil.rmtree(self.path)
        except Timeout:
            return "a process is building it or looks at it"
        except OSError as error:
            return f"{error.strerror}: {error.filename}"
        return None


def items(root: Path) -> list[Item]:
    """Return what lies in the store at `root`, the longest unused first."""
    return sorted(_items(root), key=lambda item: item.used)


def _items(root: Path) -> Iterator[Item]:
    for path in root.glob("*-*"):
        match = NAME.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        rest = match["rest"]
        kind: Kind = "unfinished training" if rest == ".unfinished" else "killed build"
        if not rest:
            kind = "artefact" if (path / MANIFEST).is_file() else "damaged artefact"
        size, newest = measured(path)
        used = path.stat().st_mtime if kind == "artefact" else newest
        yield Item(path, kind, match["artefact"], size, used)


def measured(folder: Path) -> tuple[int, float]:
    """Return the bytes of all files below `folder`, and when the newest was written."""
    size, newest = 0, folder.stat().st_mtime
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(where, name), follow_symlinks=False)
            except OSError:  # gone meanwhile
                continue
            size, newest = size + stat.st_size, max(newest, stat.st_mtime)
    return size, newest
