"""A folder for the temporary files of a command, which a later command removes where this one is killed."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "rlx-scratch-"
LOCK = ".lock"
YOUNG = 60.0  # s in which the process that made a folder has locked it for sure


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder, removed at the end; remove those of killed commands first."""
    for folder in left():
        shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder) / LOCK, timeout=0),
    ):
        yield Path(folder)


def left() -> list[Path]:
    """Return this user's folders whose commands are gone."""
    return sorted(folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _abandoned(folder))


def _abandoned(folder: Path) -> bool:
    try:
        stat = folder.lstat()
        if stat.st_uid != os.getuid() or folder.is_symlink() or time.time() - stat.st_mtime < YOUNG:
            return False
        with FileLock(folder / LOCK, timeout=0):
            return True
    except (OSError, Timeout):
        return False
