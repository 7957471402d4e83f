"""Ctrl-C and a scheduler's TERM or USR1, as an exception that is not lost where a library swallows it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rlx.core import processes
from rlx.core.stop import Stopped


class Interruption:
    """Raises Stopped when a signal comes; between steps of training, TERM and USR1 wait for the step's end instead, so
    that it can be saved. With several processes a Ctrl-C waits as well: all of them must end at the same step."""

    def __init__(self) -> None:
        self.asked = 0  # the signal's number
        self._steps = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            # A shell's background job ignores SIGINT, and goes on doing so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        # Raised inside a __del__ it would be shown as "ignored"; it is not, `check` raises it again.
        shown = sys.unraisablehook
        sys.unraisablehook = lambda event: None if event.exc_type is Stopped else shown(event)

    @contextmanager
    def at_steps(self) -> Iterator[None]:
        """Inside, someone asks `stopping` at the end of every step."""
        self._steps = True
        try:
            yield
        finally:
            self._steps = False

    def stopping(self) -> bool:
        """Whether any process was asked to stop; all must ask at once, and all get one answer."""
        self.asked = max(processes.gathered(self.asked))
        return self.asked != 0

    def check(self) -> None:
        """To be called where stopping is safe."""
        if self.asked:
            raise Stopped(self.asked)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = max(self.asked, number)
        if self._steps and (number != signal.SIGINT or processes.size() > 1):
            return  # may come more than once: schedulers signal every process of a job, and launchers hand on
        raise Stopped(number)
