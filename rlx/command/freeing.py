"""The line of `rlx clean`."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from rlx.core.error import UserError

FLAGS = ("--yes", "--days", "--checkpoints", "--all", "--runs", "--store", "--help")


@dataclass(frozen=True)
class Settings:
    """`days`: what was used in as many stays, whoever did. `checkpoints`: free those of runs that are done, too."""

    store: Path
    runs: tuple[Path, ...]
    days: float
    checkpoints: bool
    everything: bool  # show what stays as well
    yes: bool


def settings_of(parser: argparse.ArgumentParser, arguments: list[str]) -> Settings:
    """Return what the line asks for. Raises UserError for folders that are not there and for days below 0."""
    store = Path(os.environ.get("RLX_CACHE", "~/.cache/rlx")).expanduser()
    runs = Path(os.environ.get("RLX_RUNS", "runs"))
    parser.add_argument("--yes", action="store_true", help="remove what is shown; without it nothing is removed")
    told = "artefacts and trainings that were used in as many stay; default: 30"
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help=told)
    told = "also the checkpoints of runs that are done and have their model, which only making the model again needs"
    parser.add_argument("--checkpoints", action="store_true", help=told)
    parser.add_argument("--all", action="store_true", help="list what stays as well, and why")
    told = "whose artefacts stay; default: $RLX_RUNS (else runs/). Name all that share the store"
    parser.add_argument("--runs", action="append", type=Path, metavar="DIR", help=told)
    parser.add_argument("--store", type=Path, metavar="DIR", help="default: $RLX_CACHE (else ~/.cache/rlx)")
    asked = parser.parse_args(arguments)
    for word, folder in [("--store", asked.store), *(("--runs", folder) for folder in asked.runs or ())]:
        if folder is not None and not folder.is_dir():
            raise UserError(f"{word} {folder}: no such folder")
    if not asked.days >= 0:
        raise UserError(f"--days {asked.days:g}: must be at least 0")
    return Settings(
        store=(asked.store or store).absolute(),
        runs=tuple(folder.absolute() for folder in asked.runs or [runs]),
        days=asked.days,
        checkpoints=asked.checkpoints,
        everything=asked.all,
        yes=asked.yes,
    )
