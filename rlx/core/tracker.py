"""Experiment trackers: where metrics go besides a run's own files. metrics.jsonl stays the source of truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """The main process alone calls these. None of them raises for a tracker's own failure, such as a dead network."""

    def log(self, step: int, metrics: Mapping[str, float], split: str = "train") -> None:
        """One row of metrics; rows of the split "heldout" carry the same names as those of "train"."""
        ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def file(self, path: Path) -> None:
        """A file worth keeping with the run: the report, a figure."""
        ...

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """The last call. An exit code other than 0 marks the run as failed."""
        ...


class TrackerChoice(Protocol):
    """What conf/tracker/<choice>.yaml makes."""

    def start(self, run_dir: Path, config: Mapping[str, Any], run_id: str) -> Tracker:
        """Begin or go on telling about the run in `run_dir`, which people know as `run_id`."""
        ...
