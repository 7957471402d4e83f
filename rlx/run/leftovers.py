"""What a run keeps from being freed, and what it has left that nobody reads any more."""

import json
import shutil
from pathlib import Path
from typing import Any

from rlx.process import atomic
from rlx.run.directory import WHOLE, RunDirectory, RunIsHeldError
from rlx.run.status import state_of
from rlx.run.sweep_record import PREPARED


def artefacts_of(folder: Path) -> set[str]:
    """Return the names of the artefacts that the run in `folder`, or the cells of the sweep in it, are made from."""
    needs = _object(folder / PREPARED).get("needs")
    lists = needs.values() if isinstance(needs, dict) else ()
    names = {str(name) for some in lists if isinstance(some, list) for name in some}
    used = _object(folder / "provenance.json").get("artefacts")
    return names | {str(name) for name in (used.values() if isinstance(used, dict) else ())}


def parts_in(run_dir: Path) -> list[Path]:
    """Return what writers of the run that were killed have left half written."""
    names = (*WHOLE, "config.yaml", "report.html", "model")
    return [part for name in names for part in atomic.left(run_dir / name)]


def checkpoints_of(run_dir: Path) -> list[Path]:
    """Return the checkpoints of a run that is done and has its model; none of any other."""
    whole = (run_dir / "model" / "config.json").is_file() and (run_dir / "summary.json").is_file()
    if state_of(run_dir).state != "done" or not whole:
        return []
    return sorted(path for path in (run_dir / "checkpoints").glob("checkpoint-*") if path.is_dir())


def free(run_dir: Path, path: Path) -> str | None:
    """Remove `path` of the run; return why it stays, or None once it is gone."""
    try:
        with RunDirectory(run_dir).held():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except RunIsHeldError:
        return "a process is at work on the run"
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    return None


def _object(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
