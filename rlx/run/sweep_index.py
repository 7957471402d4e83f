"""A sweep's directory: `index.jsonl` and `index.parquet` with a row for each cell, replaced whole whenever a cell changes."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlx.core import jsonl
from rlx.process import atomic
from rlx.run.name import sweep_name
from rlx.run.status import RunState, state_of
from rlx.run.sweep_record import INDEX, SWEEP, flat

SEEDS = ("seed", "data_seed")
NOT_STARTED = "not started"


@dataclass
class CellRow:
    """One cell. `seconds` is what it took on the clock, added up over interruptions."""

    run_dir: Path
    config: dict[str, Any]
    overrides: tuple[str, ...]
    axes: dict[str, str]  # what differs between the cells, seeds apart, as it was typed
    state: RunState = field(default_factory=lambda: RunState(NOT_STARTED))
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        return self.state.state == "done"

    def content(self, sweep_dir: Path) -> dict[str, Any]:
        """As index.jsonl has it; the run directory relative to the sweep's, so that both can be moved."""
        return {
            "run": str(Path("..") / self.run_dir.name)
            if self.run_dir.parent == sweep_dir.parent
            else str(self.run_dir),
            "state": self.state.state,
            "reason": self.state.reason,
            "seconds": round(self.seconds, 1),
            "seed": self.config["seed"],
            "data_seed": self.config["data_seed"],
            "axes": self.axes,
            "choices": self.config["choices"],
            "overrides": list(self.overrides),
            "metrics": _json(self.run_dir / "summary.json") if self.done else {},
        }


class SweepDirectory:
    """The rows of a sweep, and where they are written: `<runs_dir>/sweep-<hash of the set of cells>`."""

    def __init__(self, rows: Sequence[CellRow]) -> None:
        self.rows = rows
        runs_dir = Path(rows[0].config["runs_dir"])
        self.path = runs_dir / sweep_name(row.config for row in rows)
        known = {Path(str(row["run"])).name: row for row in read_rows(self.path)}
        for row in rows:
            found = state_of(row.run_dir)
            row.state = RunState(NOT_STARTED) if found.state == "new" else found
            row.seconds = float(known.get(row.run_dir.name, {}).get("seconds") or _seconds_of(row.run_dir))

    def write(self) -> None:
        """Both files, each replaced atomically."""
        rows = [row.content(self.path) for row in self.rows]
        self.path.mkdir(parents=True, exist_ok=True)
        atomic.write(self.path / INDEX, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        _write_parquet(self.path / "index.parquet", [flat(row) for row in rows])

    def note_command(self, seconds: float, at_once: int) -> None:
        """Keep what was typed, and the time on the clock, added up over all commands."""
        took = round(float(_json(self.path / SWEEP).get("seconds") or 0.0) + seconds, 1)
        command = shlex.join(["rlx", *sys.argv[1:]])
        atomic.write(self.path / SWEEP, json.dumps({"command": command, "seconds": took, "at_once": at_once}, indent=1))


def axes_of(overrides: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """For each cell's overrides, key -> value of the keys whose values differ between the cells, seeds apart.

    >>> axes_of([["reward=single", "num_steps=4", "seed=0"], ["reward=warm", "num_steps=4", "seed=1"]])
    [{'reward': 'single'}, {'reward': 'warm'}]
    """
    typed = [dict(word.lstrip("+").split("=", 1) for word in words if "=" in word) for words in overrides]
    keys = list(dict.fromkeys(key for words in typed for key in words if key not in SEEDS))
    varying = [key for key in keys if len({words.get(key) for words in typed}) > 1]
    return [{key: words.get(key, "") for key in varying} for words in typed]


def read_rows(sweep_dir: Path) -> list[dict[str, Any]]:
    """The rows of an index; none if there is no index that can be read."""
    try:
        return jsonl.read_rows(sweep_dir / INDEX)
    except (OSError, ValueError):
        return []


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = dict.fromkeys(key for row in rows for key in row)
    table = pyarrow.table({key: [row.get(key) for row in rows] for key in columns})
    with atomic.file(path) as part:
        parquet.write_table(table, part)


def _seconds_of(run_dir: Path) -> float:
    """Of a run that no sweep has timed: the sum of its stages."""
    return sum((_json(run_dir / "provenance.json").get("costs") or {}).values())


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
