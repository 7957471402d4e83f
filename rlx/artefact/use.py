"""Which processes use which artefacts of a store, and when each was last used: nobody frees what another still reads."""

import contextlib
import os
import secrets
import socket
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

from rlx.artefact.sharing import share

FOLDER = ".in-use"  # in the store: a file for each process that uses it, which lists artefacts and is locked meanwhile


class Use:
    """What this process uses of the store at `root`, for as long as the object lives. Where the store cannot be written to
    nothing is noted, as nobody else can free anything there in this process's name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / FOLDER / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            if not self._file.parent.is_dir():
                self._file.parent.mkdir(exist_ok=True)
                share(self._file.parent, root)
            lock = FileLock(self._file)
            lock.acquire(timeout=0)
        except (OSError, Timeout):
            self._file = None
            return
        weakref.finalize(self, _leave, lock, self._file, os.getpid())

    def note(self, name: str) -> None:
        """Say that the artefact called `name` is used from now on. Call it under the artefact's lock."""
        with contextlib.suppress(OSError):  # another user's artefact, a full disk: a note is no reason to stop
            os.utime(self._root / name)  # a folder's own time else says when it was made
        if self._file is not None:
            with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")


def users(root: Path) -> dict[str, str]:
    """Return artefact -> the process that uses it, `host-pid`. Notes of processes that are gone are removed."""
    found: dict[str, str] = {}
    for file in (root / FOLDER).glob("*-*"):
        try:
            with FileLock(file, timeout=0):
                file.unlink(missing_ok=True)
        except (Timeout, OSError):  # it lives, or is another user's, who may
            with contextlib.suppress(OSError):
                process = file.name.rpartition("-")[0]
                found |= dict.fromkeys(file.read_text(encoding="utf-8").split(), process)
    return found


def _leave(lock: FileLock, file: Path, pid: int) -> None:
    if os.getpid() == pid:  # a fork of the process is not the process
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        lock.release()
