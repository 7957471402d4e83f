"""A disk that fills, memory that ends, a network that dies: nobody's mistake in a command, and one line instead of a traceback."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "a file may grow no further",
}
# How libraries that are not Python's say so: safetensors, Arrow and torch.
FULL_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|os error (?:28|27|122)\b|PytorchStreamWriter failed writing",
    re.IGNORECASE,
)
MEMORY_WORDS = re.compile(
    r"out of memory|can't allocate memory|Cannot allocate memory|os error 12\b|bad_alloc", re.IGNORECASE
)
NETWORK_WORDS = re.compile(
    r"^(?:Connect|Read|Write|Pool)?Timeout|^Connect(?:ion)?Error|Name or service not known|Network is unreachable|"
    r"Connection (?:refused|reset)|Temporary failure in name resolution"
)


def worded(error: BaseException) -> str | None:
    """Return the line for an error that has one of these causes; None for any other."""
    for cause in _causes(error):
        text = " ".join(str(cause).split())
        if _is_full(cause, text):
            return f"{_full(cause)}: {_where(cause)}; make room (`rlx clean` shows what nobody uses), then the same command goes on"
        if isinstance(cause, MemoryError) or MEMORY_WORDS.search(text):
            return (
                f"out of memory: {text[:200] or type(cause).__name__}; `rlx plan ...` says what a run takes, docs/scale.md what "
                "saves memory; then the same command goes on"
            )
        if isinstance(cause, ConnectionError | TimeoutError) or NETWORK_WORDS.search(f"{type(cause).__name__}: {text}"):
            return f"the network: {type(cause).__name__}: {text[:200]}; once it is back, the same command goes on"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException, text: str) -> bool:
    return (isinstance(error, OSError) and error.errno in FULL) or bool(FULL_WORDS.search(text))


def _full(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        return FULL[error.errno]
    return FULL[errno.EFBIG] if re.search(r"too large|os error 27", str(error), re.IGNORECASE) else FULL[errno.ENOSPC]


def _where(error: BaseException) -> str:
    """The file, or the places where rlx writes, each with what is free there."""
    named = getattr(error, "filename", None)
    default = [os.environ.get("RLX_RUNS", "runs"), os.environ.get("RLX_CACHE", "~/.cache/rlx")]
    return ", ".join(_room(Path(name).expanduser()) for name in ([str(named)] if named else default))


def _room(path: Path) -> str:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return f"{path} ({shutil.disk_usage(there).free / 1e6:.0f} MB free there)"
