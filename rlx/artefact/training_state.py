"""Checkpoints of a training: folders `checkpoint-<update>`, each whole once the mark that is written last lies in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rlx.core.error import UserError
from rlx.process import atomic, processes

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


def mark(path: Path, step: int, layout: str, **more: float) -> None:
    """Say that the checkpoint in `path` is whole, once every process has written its part of it."""
    processes.wait()
    if not processes.first():
        return
    atomic.write(path / MARK, json.dumps({"step": step, "layout": layout, **more}))


def latest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, the same for all processes; a save that was cut short is passed over."""
    found = []
    for path in folder.glob(f"checkpoint-*/{MARK}"):
        more = json.loads(path.read_text())
        found.append(Checkpoint(path.parent, more.pop("step"), more.pop("layout", "whole"), more))
    return processes.agreed(max(found, key=lambda checkpoint: checkpoint.step, default=None))
