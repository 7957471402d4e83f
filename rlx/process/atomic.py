"""Replace a file or a folder as a whole: a reader, or a kill, finds the old content or the new, never a part of it."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace the file `path` by `text`, in UTF-8."""
    with file(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; at the end its file takes the place of `path`. An exception leaves `path` as it was.

    The content reaches the disk before the name does, so that a power failure leaves no empty file, and both are there on
    return. Several processes may write the same file: the last one wins.
    """
    part = _beside(path, f".{os.getpid()}.part")
    try:
        yield part
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end it takes the place of `path`. An exception leaves `path` as it was.

    One process at a time: a killed one leaves a hidden folder, which the next one removes.
    """
    part, old = _beside(path, ".part"), _beside(path, ".old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def clear(path: Path) -> None:
    """Remove what killed writers left of `path`, of whatever process. Call it where nobody writes `path`."""
    for part in left(path):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def left(path: Path) -> list[Path]:
    """Return the parts of `path` that writers left which were killed, or are writing now; of a folder, what it was before
    only where the new one has taken its place."""
    folders = [_beside(path, ".part"), *([_beside(path, ".old")] if path.exists() else [])]
    return [*sorted(path.parent.glob(f".{path.name}.*.part")), *(folder for folder in folders if folder.is_dir())]


def to_disk(paths: Iterable[Path]) -> None:
    """Return once the content of the files `paths`, and their names in their folders, lie on the disk and not in a cache
    alone."""
    paths = list(paths)
    for path in (*paths, *sorted({path.parent for path in paths})):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some file systems keep folders in step by themselves
            raise
    finally:
        os.close(descriptor)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}{ending}")
