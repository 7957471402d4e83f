"""A function of the user in a process of its own: asked in lines of JSON, with a time limit; nothing is pickled."""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.trust import check_trusted_file
from rlx.core.user_function import parts, sha256_of

CHILD = Path(__file__).with_name("_function_child.py")
GRACE = 2.0  # s between asking the process to end and ending it


class FunctionProcess:
    """Started at once, and stopped by `close`, when nobody holds it any longer, or with the process that started it."""

    def __init__(self, path: str, sha256: str | None, timeout: float, start_timeout: float, batch_size: int) -> None:
        """`timeout`, `start_timeout`: s for a call of at most `batch_size` completions, and for loading the file. Raises
        UserError where the file is not trusted, is not the one of `sha256`, or cannot be loaded in time."""
        self.path, self.timeout, self.batch_size = path, timeout, batch_size
        file, name = parts(path)
        check_trusted_file(file, "reward.path")
        if sha256 is not None and sha256_of(path) != sha256:
            raise self._error(f"the file was changed while it was in use (it was {sha256[:12]}...)")
        # -P: the folder of the script, with modules of rlx, is not searched.
        command = [sys.executable, "-P", str(CHILD), str(file), name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        self.close = weakref.finalize(self, _stop, self.process)
        threading.Thread(target=_read, args=(self.process, self._answers), daemon=True).start()
        self._answer(start_timeout, f"it was not loaded after reward.start_timeout={start_timeout:g} s")

    def scores(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """A finite number for each completion. Raises UserError that names the row where there is none, or not in time."""
        found: list[float] = []
        for start in range(0, len(completions), self.batch_size):
            part = slice(start, start + self.batch_size)
            found += self._scores(prompts[part], completions[part], start)
        return found

    def _scores(self, prompts: Sequence[str], completions: Sequence[str], first: int) -> list[float]:
        request = json.dumps({"prompts": list(prompts), "completions": list(completions)}) + "\n"
        # A process that reads nothing would keep a writer for ever: another thread writes, this one looks at the clock.
        threading.Thread(target=_write, args=(self.process, request.encode("ascii")), daemon=True).start()
        rows = f"rows {first} to {first + len(completions) - 1}, the first of prompt {_short(prompts[0])}"
        answer = self._answer(self.timeout, f"{rows}: no scores after reward.timeout={self.timeout:g} s", rows)
        scores = answer.get("scores")
        if not isinstance(scores, list) or len(scores) != len(completions):
            count = len(scores) if isinstance(scores, list) else 0
            raise self._error(f"{rows}: {count} scores for {len(completions)} completions")
        for row, score in enumerate(scores):
            if not isinstance(score, float | int) or not math.isfinite(score):
                raise self._error(f"row {first + row}, prompt {_short(prompts[row])}: {score} is no finite number")
        return [float(score) for score in scores]

    def _answer(self, timeout: float, late: str, rows: str = "") -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise self._error(late) from None
        if not line:
            code = self.process.wait()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise self._error(f"{rows}{': ' if rows else ''}its process ended with {how}")
        answer = json.loads(line)
        if "error" in answer:
            raise self._error(f"{rows}{': ' if rows else ''}{answer['error']}")
        return answer

    def _error(self, what: str) -> UserError:
        file, name = parts(self.path)
        return UserError(f"reward.path={file.name}:{name}: {what}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _read(process: subprocess.Popen[bytes], answers: "queue.Queue[bytes]") -> None:
    assert process.stdout is not None
    with process.stdout, contextlib.suppress(OSError, ValueError):
        rest = b""
        while part := process.stdout.read(1 << 16):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                answers.put(line)
    answers.put(b"")  # it has ended


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):  # it has ended, which the reader says
        left = memoryview(line)
        while left:
            left = left[process.stdin.write(left) :]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
