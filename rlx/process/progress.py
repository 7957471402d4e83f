"""Progress of long work: a bar with an estimate on a terminal, a line now and then in a log file."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
console = Console(stderr=True)
SECONDS_BETWEEN_LINES = 15.0


class Bar:
    """One piece of work with a known number of steps."""

    def __init__(self, description: str, total: int, rich: Progress | None) -> None:
        self.description, self.total, self.done, self._rich = description, total, 0, rich
        self._task = rich.add_task(description, total=total, note="") if rich else None
        self._start = self._said = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is shown beside the bar (a loss, a score)."""
        self.done += steps
        if self._rich and self._task is not None:
            self._rich.update(self._task, advance=steps, note=note)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            left = (self._said - self._start) / max(self.done, 1) * (self.total - self.done)
            log.info("%s: %d/%d, about %.0f s left %s", self.description, self.done, self.total, left, note)


@contextmanager
def stage(description: str, total: int) -> Iterator[Bar]:
    """Show progress through `total` steps of what `description` says; on a terminal with bar, time and estimate."""
    if not console.is_terminal:
        start = time.monotonic()
        log.info("%s", description)
        yield Bar(description, total, None)
        log.info("%s: done in %.1f s", description, time.monotonic() - start)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as rich:
        yield Bar(description, total, rich)
