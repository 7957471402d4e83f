"""`rlx clean`: what lies in the store and in run directories that nobody uses; shown, and with --yes freed."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlx.artefact.inventory import Item, items, measured
from rlx.artefact.manifest import parts_of
from rlx.artefact.use import users
from rlx.command.freeing import Settings
from rlx.process import scratch
from rlx.run import leftovers
from rlx.run.state import short_path
from rlx.run.sweep_record import is_sweep

DAY = 86400.0  # s


@dataclass(frozen=True)
class Row:
    """A thing that may go. `stays`: why it does not, or empty. `free` removes it and returns why it could not, or None."""

    path: Path
    what: str
    bytes: int
    used: float  # seconds since the epoch
    stays: str
    free: Callable[[], str | None]


def run(settings: Settings) -> int:
    """Show what nobody uses, and free it where `settings` say so. Returns the exit code: 1 if something could not be freed."""
    rows = [*_in_store(settings), *_in_runs(settings), *_in_temporary_directory()]
    goes, stays = [row for row in rows if not row.stays], [row for row in rows if row.stays]
    for row in (*goes, *(stays if settings.everything else ())):
        print(_line(row))
    _say_what_stays(settings, stays)
    size = in_units(sum(row.bytes for row in goes))
    if not goes:
        print("Nothing to free.")
        return 0
    if not settings.yes:
        print(f"{size} in {len(goes)} places would be freed; nothing was removed. `rlx clean --yes` removes it.")
        return 0
    failed = [(row, reason) for row in goes if (reason := row.free()) is not None]
    for row, reason in failed:
        print(f"{short_path(row.path)} stays: {reason}")
    freed = sum(row.bytes for row in goes) - sum(row.bytes for row, _ in failed)
    print(f"{in_units(freed)} in {len(goes) - len(failed)} places are freed.")
    return int(bool(failed))


def in_units(size: float) -> str:
    """Return bytes as people read them.

    >>> in_units(0), in_units(1234), in_units(5_600_000_000)
    ('0 B', '1.2 KB', '5.6 GB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _in_store(settings: Settings) -> Iterator[Row]:
    there = items(settings.store)
    used_by = _runs_of(settings)
    at_work = users(settings.store)
    parts: dict[str, set[str]] = {item.artefact: parts_of(item.path) for item in there if item.kind == "artefact"}
    for name, run_names in list(used_by.items()):
        for part in parts.get(name, ()):
            used_by.setdefault(part, set()).update(run_names)
    for item in there:
        yield Row(item.path, item.kind, item.bytes, item.used, _reason(item, settings, used_by, at_work), item.free)


def _reason(item: Item, settings: Settings, used_by: dict[str, set[str]], at_work: dict[str, str]) -> str:
    """Why an item of the store stays; empty where it goes."""
    if item.kind in ("killed build", "damaged artefact"):
        return ""
    if item.kind == "artefact" and (process := at_work.get(item.artefact)):
        return f"process {process} uses it"
    if item.kind == "artefact" and (names := used_by.get(item.artefact)):
        return f"{len(names)} runs use it" if len(names) > 1 else f"run {next(iter(names))} uses it"
    if time.time() - item.used < settings.days * DAY:
        return f"used in the last {settings.days:g} days"
    return ""


def _runs_of(settings: Settings) -> dict[str, set[str]]:
    """Artefact -> names of the runs that are made from it."""
    found: dict[str, set[str]] = {}
    for folder in _folders(settings.runs):
        for artefact in leftovers.artefacts_of(folder):
            found.setdefault(artefact, set()).add(folder.name)
    return found


def _folders(runs: Sequence[Path]) -> Iterator[Path]:
    for parent in runs:
        yield from sorted(path for path in parent.glob("*") if (path / "config.yaml").is_file() or is_sweep(path))


def _in_runs(settings: Settings) -> Iterator[Row]:
    for folder in _folders(settings.runs):
        for what, paths in (
            ("half a file", leftovers.parts_in(folder)),
            ("checkpoint of a done run", leftovers.checkpoints_of(folder) if settings.checkpoints else []),
        ):
            for path in paths:
                size, used = measured(path) if path.is_dir() else (path.stat().st_size, path.stat().st_mtime)
                yield Row(path, what, size, used, "", _freeing(folder, path))


def _freeing(run_dir: Path, path: Path) -> Callable[[], str | None]:
    return lambda: leftovers.free(run_dir, path)


def _in_temporary_directory() -> Iterator[Row]:
    for folder in scratch.left():
        yield Row(folder, "a killed command's", *measured(folder), "", _removing(folder))


def _removing(folder: Path) -> Callable[[], str | None]:
    def remove() -> str | None:
        shutil.rmtree(folder, ignore_errors=True)
        return "it could not be removed" if os.path.lexists(folder) else None

    return remove


def _line(row: Row) -> str:
    age = f"{max(0.0, time.time() - row.used) / DAY:.0f} days ago"
    stays = f"  stays: {row.stays}" if row.stays else ""
    return f"{in_units(row.bytes):>9}  {row.what:<24}  last used {age:<13}  {short_path(row.path)}{stays}"


def _say_what_stays(settings: Settings, stays: Sequence[Row]) -> None:
    places = ", ".join(short_path(path) for path in settings.runs)
    print(f"Store {short_path(settings.store)}; runs in {places}.")
    if stays:
        size = in_units(sum(row.bytes for row in stays))
        more = "" if settings.everything else "; --all lists them"
        print(
            f"{size} in {len(stays)} places stay, used by runs, by processes or in the last {settings.days:g} days{more}."
        )
