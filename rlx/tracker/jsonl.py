"""Nobody is told: the run directory's metrics.jsonl and samples.jsonl, which every run writes, are all there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Jsonl:
    """tracker=jsonl."""

    def start(self, run_dir: Path, config: Mapping[str, Any], run_id: str) -> "Silent":
        """A tracker that says nothing to anybody."""
        return Silent()


class Silent:
    def log(self, step: int, metrics: Mapping[str, float], split: str = "train") -> None: ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def file(self, path: Path) -> None: ...

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None: ...
