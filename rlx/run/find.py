"""Which directory a word on the command line names: a path, or a name among the runs."""

import os
from pathlib import Path

from rlx.core.error import UserError, nearest
from rlx.run.sweep_record import is_sweep

NAMED = ", or its name in $RLX_RUNS (else runs/)"  # as helps say


def existing_run(word: str, sweeps: bool) -> Path:
    """Return the absolute run directory (with `sweeps`, or sweep directory) that `word` names: a path, or a name in $RLX_RUNS
    (else runs/). Raises UserError where there is none."""
    runs = Path(os.environ.get("RLX_RUNS", "runs"))
    for path in (Path(word), runs / word):
        if (path / "config.yaml").is_file() or (sweeps and is_sweep(path)):
            return path.absolute()
    if Path(word).is_dir():
        raise UserError(f"{word} is not a run directory: it has no config.yaml; `rlx status` lists those there are")
    folder = Path(word).parent if "/" in word.rstrip("/") else runs
    known = [path.name for path in folder.glob("*") if (path / "config.yaml").is_file()] if folder.is_dir() else []
    near = nearest(Path(word).name, known)
    raise UserError(f"no run directory {word!r}{near or '; `rlx status` lists those there are'}")
