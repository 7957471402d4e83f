"""`rlx prepare`: the artefacts that a cell, or all cells of a sweep, need; each built once, without training a policy."""

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rlx.artefact.store import Store
from rlx.command.check import checked
from rlx.compute.launcher import launch
from rlx.core.build import build
from rlx.core.error import UserError
from rlx.experiment.cell import cell_of
from rlx.experiment.preflight import check_cell
from rlx.process import atomic, interruption, outer, processes
from rlx.process.logs import speak
from rlx.run.state import load_config
from rlx.run.sweep_record import PREPARED, SweepRecord, load_sweep

log = logging.getLogger(__name__)


def run(config: Mapping[str, Any]) -> int:
    """Build what is missing for one cell; say where everything is."""
    compute: Any = build(config["compute"])
    outer.check(config)
    if compute.num_processes > 1:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.yaml"
            path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
            launch("rlx.prepare", path, compute, Path(folder) / "processes")
    else:
        _build(config)
    return 0


def work(path: Path) -> None:
    """One process's part of it: of a cell's config.yaml, or of a sweep's directory."""
    interruption.listen()  # what is half built is then cleared away, or saved
    if path.is_dir():
        _build_sweep(path)
    else:
        _build(load_config(path))


def _build(config: Mapping[str, Any]) -> None:
    speak()
    cell = cell_of(config)
    check_cell(cell)
    for name, recipe in cell.recipes().items():
        there = cell.store.has(recipe, cell.settings.data_seed)
        path = cell.store.fetch(recipe, cell.settings.data_seed)
        print(f"{name:20s} {'there' if there else 'built':6s} {path}", flush=True)


def run_all(configs: Mapping[str, Mapping[str, Any]]) -> int:
    """Build what is missing for several cells (name -> config); 1 if any of them cannot have what it needs."""
    outer.refuse("rlx prepare -m")
    speak()
    union = Union()
    for name, config in configs.items():
        union.add(name, config)
    for name, reason in union.failed.items():
        log.error("%s: %s", name, reason)
    return int(bool(union.failed))


def run_sweep(sweep_dir: Path) -> int:
    """The same for the cells of a sweep's index that are not done; what was built, and what failed, is kept beside it."""
    outer.refuse("rlx prepare SWEEP")
    undone = list(_undone(load_sweep(sweep_dir)).values())
    # Cells of one sweep have one compute: it is no part of what names their directories.
    compute: Any = build(undone[0]["compute"]) if undone else None
    if compute is not None and compute.num_processes > 1:
        launch("rlx.prepare", sweep_dir, compute, sweep_dir / "processes")
    else:
        work(sweep_dir)
    return int(bool(load_sweep(sweep_dir).prepared.get("failed")))


def _undone(record: SweepRecord) -> dict[str, dict[str, Any]]:
    """Cell -> its config, of those that are not done."""
    runs = {cell.name: cell.run.path for cell in record.cells if cell.run is not None and cell.state != "done"}
    return {name: checked(load_config(path / "config.yaml")) for name, path in runs.items()}


def _build_sweep(sweep_dir: Path) -> None:
    record = load_sweep(sweep_dir)
    speak()
    union = Union()
    for name, config in _undone(record).items():
        union.add(name, config)
    known = {name: record.prepared.get(name, {}) for name in ("artefacts", "needs")}  # of cells that are done by now
    content = union.content()
    content |= {name: known[name] | content[name] for name in known}
    if processes.first():
        atomic.write(sweep_dir / PREPARED, json.dumps(content, indent=1))


class Union:
    """The artefacts of several cells, each built once. One that cannot be built fails the cells that need it."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}  # cell -> reason
        self._needs: dict[str, list[str]] = {}  # cell -> its artefacts
        self._seconds: dict[str, float | None] = {}  # artefact -> what building it took, whenever that was
        self._broken: dict[str, str] = {}  # artefact -> reason
        self._stores: dict[str, Store] = {}
        self._start = time.monotonic()

    def add(self, name: str, config: Mapping[str, Any]) -> None:
        """Fetch what the cell called `name` needs."""
        try:
            cell = cell_of(config)
            check_cell(cell)
            recipes = cell.recipes()
        except Exception as error:
            self._fail(name, error)
            return
        store = self._stores.setdefault(config["cache_dir"], cell.store)
        self._needs[name] = []
        for artefact, recipe in recipes.items():
            path = store.path(recipe, cell.settings.data_seed)
            self._needs[name].append(path.name)
            if path.name in self._broken:
                self.failed[name] = self._broken[path.name]
                return
            if path.name in self._seconds:
                continue
            there = store.has(recipe, cell.settings.data_seed)
            try:
                store.fetch(recipe, cell.settings.data_seed)
            except Exception as error:
                if processes.size() > 1 and not isinstance(error, UserError):
                    raise  # the others may be waiting for this one
                self._broken[path.name] = self._fail(name, error, f"{artefact}: ")
                return
            self._seconds[path.name] = store.seconds(recipe, cell.settings.data_seed)
            if processes.first():
                print(f"{artefact:20s} {'there' if there else 'built':6s} {path}", flush=True)

    def content(self) -> dict[str, Any]:
        """What prepared.json holds: seconds by artefact, artefacts by cell, reasons by failed cell."""
        took = round(time.monotonic() - self._start, 1)
        return {"seconds": took, "artefacts": self._seconds, "needs": self._needs, "failed": self.failed}

    def _fail(self, name: str, error: Exception, what: str = "") -> str:
        """A user's mistake in one line; anything else with its traceback in the log, so that it can be mended."""
        text = " ".join(str(error).split())
        if not isinstance(error, UserError):
            text = f"{type(error).__name__}: {text}"
            log.error("%s%s", what, text, exc_info=error)
        self.failed[name] = f"{what}{text}"
        return self.failed[name]
