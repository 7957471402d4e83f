"""A run's folder: its state, its rows of numbers and samples, all readable while it runs and whole after a kill."""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rlx.core.error import UserError
from rlx.process import atomic
from rlx.run import kept, status

log = logging.getLogger(__name__)
METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
# The files that are replaced as a whole, by the process that holds the run.
WHOLE = (METRICS, SAMPLES, "status.json", "members.json", "provenance.json", "summary.json")


class RunIsHeldError(UserError):
    """Another process holds the run."""


class RunDirectory:
    """Reads and writes the files of one run. Whole files are replaced atomically; rows are appended and flushed. With
    writes=False nothing is written: of several processes, one does."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self.writes = Path(path), writes

    @property
    def growing(self) -> tuple[Path, ...]:
        """The files that rows are appended to while the policy learns."""
        return self.path / METRICS, self.path / SAMPLES

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the run for this process; leave its state as done, interrupted or failed, with the reason.

        Raises UserError if another process holds it.
        """
        if not self.writes:
            yield
            return
        lock = self._lock()
        self._clear_parts()
        try:
            status.begin(self.path)
            yield
            self.finish()
        except KeyboardInterrupt as stop:
            status.end(self.path, "interrupted", str(stop) or "interrupted")
            raise
        except BaseException as ex:
            status.end(self.path, "failed", f"{type(ex).__name__}: {ex}".strip())
            raise
        finally:
            lock.release()

    def _clear_parts(self) -> None:
        """Remove the files that a killed writer of this run left half written. Call it under the run's lock."""
        for name in (*WHOLE, "model"):
            atomic.clear(self.path / name)

    def check_free(self) -> None:
        """Raises UserError if another process holds the run. Of several processes, the one that writes looks."""
        if self.writes:
            self._lock(timeout=2).release()  # s; the launcher of another node may be looking as well

    def _lock(self, timeout: float = 0) -> FileLock:
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            pid = status.status_of(self.path).get("pid")
            raise RunIsHeldError(
                f"{self.path}: process {pid} is at work on this run; wait for it, or end it first"
            ) from None
        return lock

    def fail(self, reason: str) -> None:
        """Say that the run failed, in place of whoever should have."""
        if self.writes:
            status.end(self.path, "failed", reason)

    def finish(self, shown: bool = True) -> None:
        """Say that the run is done: before its report is written, so that the report can say so. `shown`: whether report
        and tracker have it all; a kill before that leaves them to the next command."""
        if self.writes:
            files = status.files_when_done(self.path) or kept.seals(self.path)
            status.end(self.path, "done", shown=shown, files=files)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run without a change of its state. Raises RunIsHeldError if another process holds it."""
        lock = self._lock()
        try:
            yield
        finally:
            lock.release()

    def read(self, name: str) -> dict:
        """A JSON file's content; {} if it is not there, and with a warning if it is no object of JSON."""
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
        log.warning("%s cannot be read and is written anew: what it held is lost", path)
        return {}

    def write(self, name: str, content: object) -> None:
        """Replace a JSON file."""
        if not self.writes:
            return
        atomic.write(self.path / name, json.dumps(content, indent=1) + "\n")

    def append(self, name: str, rows: Iterable[dict]) -> None:
        """Add rows to a JSONL file. Numbers that are not finite have no JSON: they are written as null."""
        if not self.writes:
            return
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(_finite(row)) + "\n" for row in rows)

    def write_rows(self, name: str, rows: Iterable[dict]) -> None:
        """Replace a JSONL file."""
        if self.writes:
            atomic.write(self.path / name, "".join(json.dumps(_finite(row)) + "\n" for row in rows))

    def rows(self, name: str) -> list[dict]:
        """The rows of a JSONL file up to the first line that is none; a last line that a kill cut short is passed over."""
        path = self.path / name
        if not path.is_file():
            return []
        rows = []
        finished = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was cut short
        for number, line in enumerate(finished, 1):
            if (row := _row(line)) is None:
                log.warning("%s:%d is no row: it and what follows are left out", path, number)
                break
            rows.append(row)
        return rows

    def keep_rows_until(self, step: int) -> None:
        """Forget rows of steps after `step`, which a resumed run will do again. -1: all."""
        if not self.writes:
            return
        for name in (METRICS, SAMPLES):
            if (self.path / name).is_file():
                kept = [row for row in self.rows(name) if row["step"] <= step] if step >= 0 else []
                atomic.write(self.path / name, "".join(json.dumps(row) + "\n" for row in kept))


def _row(line: bytes) -> dict | None:
    try:
        row = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return row if isinstance(row, dict) and "step" in row else None


def _finite(row: dict) -> dict:
    return {k: None if isinstance(v, float) and (v != v or abs(v) == float("inf")) else v for k, v in row.items()}
