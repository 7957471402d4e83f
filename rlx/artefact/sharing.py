"""Whom a store's files are for: as the user's umask says, and for the store's group where its folder is the group's to write."""

import contextlib
import os
import stat
from pathlib import Path

GROUP = stat.S_IRWXG


def shared_modes(root: Path) -> tuple[int, int]:
    """Return the modes of new folders and of new files in the store at `root`."""
    folder = 0o777 & ~_umask() | stat.S_IMODE(root.stat().st_mode) & GROUP
    return folder, folder & 0o666


def share(artefact: Path, root: Path) -> None:
    """Give what lies in the folder `artefact` those modes: temporary folders, and files that libraries write by way of
    temporary ones, are their maker's alone. What is another user's is left as it is."""
    folder_mode, file_mode = shared_modes(root)
    for where, _, names in os.walk(artefact):
        with contextlib.suppress(PermissionError):
            os.chmod(where, stat.S_IMODE(os.stat(where).st_mode) & stat.S_ISGID | folder_mode)
        for name in names:
            with contextlib.suppress(PermissionError):
                os.chmod(os.path.join(where, name), file_mode)


def _umask() -> int:
    """It can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
