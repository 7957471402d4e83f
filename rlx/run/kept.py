"""What a run that is done keeps: which of it is gone or changed since, and whether that can be made again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlx.artefact.seal import Seal, seal_of
from rlx.core.rules import has_steps
from rlx.run.status import files_when_done

NUMBERS = ("metrics.jsonl", "samples.jsonl")  # what only training makes
ENDS = ("summary.json", "final_samples.jsonl")  # what the final measurement makes, as the model
CARD = "README.md"  # the one file of a model that is written again, by `rlx report`
LARGE = 2**28  # bytes from which on a file is looked at by its length alone: of a whole model, hashing takes minutes


def seals(run_dir: Path) -> dict[str, Seal]:
    """Return what the run has made, its report apart: name -> length and hash."""
    return {path.relative_to(run_dir).as_posix(): seal_of(path) for path in _made(run_dir)}


def gone(run_dir: Path) -> list[str]:
    """Return the files that a done run had when it ended and that are not there any more; a run of before seals has none."""
    return [name for name in files_when_done(run_dir) if not (run_dir / name).is_file()]


def changed(run_dir: Path) -> list[str]:
    """Return the files that hold something else than when the run ended."""
    sealed = {name: seal for name, seal in files_when_done(run_dir).items() if (run_dir / name).is_file()}
    return [name for name, seal in sealed.items() if not _fits(run_dir / name, Seal(*seal))]


def has_way_back(run_dir: Path, config: Mapping[str, Any]) -> bool:
    """Whether the end of the run can be made again without training from its start: its rows and a checkpoint are there.
    Best-of-n learns nothing; it only chooses once more among what it has drawn."""
    if not has_steps(config):
        return True
    marks = any((run_dir / "checkpoints").glob("checkpoint-*/step.json"))
    return marks and all((run_dir / name).is_file() for name in NUMBERS)


def in_short(names: list[str]) -> str:
    """`metrics.jsonl and model/ (5 files)`."""
    model = [name for name in names if name.startswith("model/")]
    words = [name for name in names if name not in model] + ([f"model/ ({len(model)} files)"] if model else [])
    return " and ".join(words)


def _made(run_dir: Path) -> Iterator[Path]:
    yield from (path for name in (*NUMBERS, *ENDS) if (path := run_dir / name).is_file())
    yield from sorted(path for path in (run_dir / "model").glob("*") if path.is_file() and path.name != CARD)


def _fits(path: Path, seal: Seal) -> bool:
    return path.stat().st_size == seal.bytes if seal.bytes > LARGE else seal.fits(path)
