"""A process that has imported what `rlx train` imports and forks for each command, so that a start costs no import."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

READY = "ready"


class Rlx:
    """A Python that has imported what `rlx train` imports, and forks for each command: a start costs no import."""

    def __init__(self) -> None:
        # "rlx" among its words: by them a run's process is told from others of the same number.
        self._server = subprocess.Popen(
            [sys.executable, __file__, "rlx"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None and self._server.stdout.readline().strip() == READY

    def start(self, words: Sequence[str], folder: Path) -> int:
        """Return the process that does `rlx WORDS` with runs, store and output in `folder`."""
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps([list(words), str(folder)]), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def wait(self, seconds: float) -> int | None:
        """Return the exit code of the process that was started last, or None if it is at work after as many seconds."""
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps(seconds), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def serve() -> None:
    """What the process of `Rlx` does: a line of words forks, a number waits."""
    import rlx.train  # noqa: F401
    from rlx.cli import main

    print(READY, flush=True)
    pid = 0
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, list):
            if (pid := os.fork()) == 0:
                os._exit(_forked(main, *asked))
            print(pid, flush=True)
        else:
            print(json.dumps(_waited(pid, asked)), flush=True)


def _forked(main: Callable[[list[str]], int], words: list[str], folder: str) -> int:
    with open(Path(folder) / "output.txt", "ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    os.environ |= {"RLX_RUNS": f"{folder}/runs", "RLX_CACHE": f"{folder}/cache"}
    sys.argv = ["rlx", *words]
    try:
        code = main(words)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _waited(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.02)


if __name__ == "__main__":
    serve()
