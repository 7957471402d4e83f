"""Checkpoints of a training: folders `checkpoint-<update>`, each believed while every file is as its mark says.

The mark is written last. It holds the hash of every file of the checkpoint, and of the rows of numbers that the run had
written until then.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.artefact.seal import Seal, seal_of
from rlx.core.error import UserError
from rlx.process import atomic, processes

log = logging.getLogger(__name__)
MARK = "step.json"


@dataclass(frozen=True)
class Checkpoint:
    """`layout` says how it lies on disk: only the same layout can read it."""

    path: Path
    step: int
    layout: str
    more: Mapping[str, float]  # what else its training wanted to know again

    def check(self, layout: str, what: str) -> None:
        """Raises UserError where `layout` cannot read it; `what` is trained."""
        if self.layout != layout:
            raise UserError(
                f"{self.path} was written as {self.layout!r} and cannot be read as {layout!r}: go on with the compute that "
                f"wrote it, or delete {self.path.parent} to train {what} from its start again"
            )


def mark(path: Path, step: int, layout: str, beside: Sequence[Path] = (), **more: float) -> None:
    """Say that the checkpoint in `path` is whole, once every process has written its part of it and all lies on the disk.

    `beside`: files that grow while training goes on. The mark also seals the content that they have now.
    """
    processes.wait()
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MARK)
    mine = [(str(file.relative_to(path)), seal_of(file)) for file in files[processes.share(len(files))]]
    seals = dict(processes.concatenated(mine))
    if not processes.first():
        return
    growing = [file for file in beside if file.is_file()]
    rows = {os.path.relpath(file, path): seal_of(file) for file in growing}
    atomic.to_disk([*files, *growing])
    told = {"step": step, "layout": layout, "files": seals, "rows": rows, "more": more}
    atomic.write(path / MARK, json.dumps(told | {"sha256": _own_hash(told)}, indent=1))


def latest(folder: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint in `folder`, None if there is none; all processes get the same one.

    A folder without a mark is a save that was cut short, and is ignored. A checkpoint whose files have changed since it was
    saved is ignored with a warning.
    """
    found = next(_whole(folder), None) if processes.first() else None
    told = processes.agreed(None if found is None else (str(found.path), found.step, found.layout, dict(found.more)))
    return None if told is None else Checkpoint(Path(told[0]), *told[1:])


def marked_steps(folder: Path) -> list[int]:
    """The steps that a training may go on from, the last one first, without a look at what else is in their folders."""
    return [told["step"] for _, told in _marks(folder) if told is not None]


def _whole(folder: Path) -> Iterator[Checkpoint]:
    for path, told in _marks(folder):
        if told is None:
            log.warning("%s cannot be read: its checkpoint is passed over", path / MARK)
        elif (damage := _damage(told, path)) is None:
            yield Checkpoint(path, told["step"], told["layout"], told["more"])
        else:
            log.warning("%s: %s; going on from an older checkpoint, or from the start", path, damage)


def _marks(folder: Path) -> list[tuple[Path, dict[str, Any] | None]]:
    # Every checkpoint that has a mark, with what it says: first those whose mark cannot be read, then the latest step.
    found = [(path.parent, _read(path)) for path in folder.glob(f"checkpoint-*/{MARK}")]
    return sorted(found, key=lambda both: both[1]["step"] if both[1] else float("inf"), reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return told if told.pop("sha256") == _own_hash(told) else None
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return None


def _own_hash(told: Mapping[str, Any]) -> str:
    """Return the hash of what a mark says. The mark holds it too, so that a change of the mark shows."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _damage(told: Mapping[str, Any], path: Path) -> str | None:
    """Return which file of the checkpoint in `path` has changed since its mark was written, and how; None if none has."""
    for kind, verb in (("files", "is not what was saved"), ("rows", "has lost rows that were written before it")):
        for name, seal in told[kind].items():
            file = path / name
            if not file.is_file():
                return f"{file.name} is gone"
            if not Seal(*seal).fits(file, grown=kind == "rows"):
                return f"{file.name} {verb}"
    return None
