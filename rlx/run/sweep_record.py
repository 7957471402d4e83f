"""What a sweep has left: its index, and the runs that the index names. The one source of its report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.jsonl import read_rows
from rlx.run.record import RunRecord, load_record

INDEX = "index.jsonl"  # one row a cell
PREPARED = "prepared.json"  # the artefacts that the cells share: what building them took, which could not be built
SWEEP = "sweep.json"  # the command, and its time on the clock
OUTPUT = "output.txt"  # in a run directory: what a cell said that did not run alone


@dataclass(frozen=True)
class CellRecord:
    """One cell: its row in the index, and its run. `axes` are the settings that differ between cells, seeds apart."""

    name: str
    axes: dict[str, str]
    seed: int
    data_seed: int
    state: str
    reason: str
    seconds: float
    metrics: dict[str, float]  # of the final measurement; empty unless done
    run: RunRecord | None  # None where its directory is gone

    @property
    def label(self) -> str:
        """`warm · soup · beta=0.1`: the values of the axes."""
        return " · ".join(named(key, value) for key, value in self.axes.items()) or "all"

    @property
    def seeds(self) -> tuple[int, int]:
        """Seed and data seed: what cells must share to be compared pair by pair."""
        return (self.seed, self.data_seed)


@dataclass(frozen=True)
class SweepRecord:
    path: Path
    cells: list[CellRecord]
    prepared: dict[str, Any]  # empty where nothing was prepared
    command: dict[str, Any]  # empty where the sweep has not come to an end yet

    @property
    def axes(self) -> dict[str, list[str]]:
        """Axis -> its values, both in the order in which they were typed."""
        found: dict[str, list[str]] = {}
        for cell in self.cells:
            for key, value in cell.axes.items():
                found.setdefault(key, [])
                found[key] += [] if value in found[key] else [value]
        return found

    @property
    def labels(self) -> list[str]:
        """One for each combination of the axes' values; its cells differ in their seeds alone."""
        return list(dict.fromkeys(cell.label for cell in self.cells))

    def of(self, label: str) -> list[CellRecord]:
        """The cells with this label."""
        return [cell for cell in self.cells if cell.label == label]

    @property
    def done(self) -> list[CellRecord]:
        """The cells that have been measured to the end."""
        return [cell for cell in self.cells if cell.state == "done" and cell.metrics]


def named(axis: str, value: str) -> str:
    """A choice by its name alone, a number or a switch with the setting's last word: `warm`, `beta=0.1`."""
    if value.lower() not in ("", "true", "false", "null", "inf") and value[0].isalpha():
        return value
    return f"{axis.rpartition('.')[2]}={value or '(default)'}"


def is_sweep(path: Path) -> bool:
    return (path / INDEX).is_file()


def load_sweep(sweep_dir: Path) -> SweepRecord:
    """Read a sweep directory, finished or not. Raises UserError where it is none or cannot be read."""
    index = Path(sweep_dir) / INDEX
    try:
        rows = read_rows(index)
    except FileNotFoundError:
        raise UserError(f"{sweep_dir} is not a sweep: it has no {INDEX}") from None
    except ValueError as ex:
        raise UserError(f"{index} is not JSON: {ex}; run the sweep's command again, which writes it anew") from ex
    if not rows:
        raise UserError(f"{index} names no cell; run the sweep's command again, which writes it anew")
    try:
        cells = [_cell(Path(sweep_dir), row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as ex:
        raise UserError(
            f"{index}: a line is no cell of a sweep; run the sweep's command again, which writes it anew"
        ) from ex
    return SweepRecord(Path(sweep_dir), cells, *(_json(Path(sweep_dir) / name) for name in (PREPARED, SWEEP)))


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the index with a column for each axis (`axis.reward`), choice (`choice.world`) and metric."""
    plain = {key: value for key, value in row.items() if key not in ("axes", "choices", "overrides", "metrics")}
    plain |= {f"axis.{key}": value for key, value in row["axes"].items()}
    plain |= {f"choice.{key}": value for key, value in row["choices"].items()}
    return plain | {"overrides": " ".join(row["overrides"])} | row["metrics"]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _costs(run: RunRecord | None) -> float:
    """Of a cell that was no process of the sweep's: the sum of its stages."""
    return float(sum((run.provenance.get("costs") or {}).values())) if run is not None else 0.0


def _cell(sweep_dir: Path, row: dict[str, Any]) -> CellRecord:
    run_dir = (sweep_dir / row["run"]).resolve()
    try:
        run = load_record(run_dir)
    except UserError:
        run = None
    # The run's own files are newer than the index where the run was finished by itself.
    state, reason = row["state"], row["reason"]
    if run is not None and run.status.get("state"):
        state, reason = str(run.status["state"]), str(run.status.get("reason") or "")
    return CellRecord(
        name=run_dir.name,
        axes={str(k): str(v) for k, v in row["axes"].items()},
        seed=int(row["seed"]),
        data_seed=int(row["data_seed"]),
        state=state if run is not None else "gone",
        reason=reason if run is not None else "its run directory is gone or cannot be read",
        seconds=float(row["seconds"]) or _costs(run),
        metrics=dict(run.summary) if run is not None and state == "done" else {},
        run=run,
    )
