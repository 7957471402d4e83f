"""A collective that waited in vain for another process, in one line: how long, where it was, and where the other one stood."""

import faulthandler
import os
import re
import signal
import traceback
from pathlib import Path

STACK = "stack.txt"
PACKAGE = Path(__file__).parents[1]
# How gloo, torch's store and NCCL's watchdog word it.
VAIN = re.compile(
    r"Timed out waiting (\d+)ms|timeout after (\d+)ms|Watchdog caught collective operation timeout.*?Timeout\(ms\)=(\d+)"
)
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+),? in (?P<name>\S+)')
VAIN_WORDS = "in vain for the other processes"
COLLECTIVE = ("torch/distributed/", "process/processes.py")
PASSING_ON = (
    "rlx/process/processes.py",
    "rlx/compute/worker.py",
    "rlx/compute/joined.py",
)  # what their callers do, or are called for


def in_vain(text: str) -> float | None:
    """Return the seconds that a collective waited, if `text` says that it waited in vain."""
    found = VAIN.search(text)
    return None if found is None else int(next(group for group in found.groups() if group)) / 1000


def waited(seconds: float, place: str | None) -> str:
    """Return the line for it."""
    where = f" at {place}" if place else ""
    return f"waited {seconds:g} s {VAIN_WORDS}{where} (compute.timeout)"


def worded(error: Exception) -> str:
    """Return `error` in one line."""
    text = " ".join(str(error).split())
    if (seconds := in_vain(text)) is None:
        return f"{type(error).__name__}: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    return waited(seconds, _first_of_rlx([(f.filename, str(f.lineno), f.name) for f in reversed(frames)]))


def place_in(stack: str) -> str | None:
    """Return where in rlx a process was, from the stack that faulthandler wrote of it (innermost first)."""
    return _first_of_rlx([(found["file"], found["line"], found["name"]) for found in FRAME.finditer(stack)])


def in_collective(stack: str) -> bool:
    """Return whether a process was waiting for others, from the stack that faulthandler wrote of it."""
    found = FRAME.search(stack)
    return found is not None and any(part in found["file"] for part in COLLECTIVE)


def _first_of_rlx(frames: list[tuple[str, str, str]]) -> str | None:
    """The innermost frame of rlx, which may have called another library from there; without any, the innermost of all."""
    for file, line, name in frames:
        if Path(file).is_relative_to(PACKAGE) and not file.endswith(PASSING_ON):
            return f"{Path(file).relative_to(PACKAGE.parent)}:{line} ({name})"
    return "{}:{} ({})".format(Path(frames[0][0]).name, *frames[0][1:]) if frames else None


def leave_stacks() -> None:
    """From now on a TERM leaves beside the error file of a launcher where this process stood, in Python or in C, and a crash
    says it on standard error. To be called after the signal's handler was set, which stays in place."""
    faulthandler.enable(all_threads=False)
    if error_file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        faulthandler.unregister(signal.SIGTERM)
        file = Path(error_file).with_name(STACK).open("w", encoding="utf-8")
        faulthandler.register(signal.SIGTERM, file, all_threads=False, chain=True)
        _open.append(file)


_open: list[object] = []  # files that must stay open for as long as signals may come
