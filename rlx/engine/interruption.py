"""Ctrl-C, and a scheduler's TERM, as a KeyboardInterrupt that is not lost where a library swallows it."""

import signal
import sys
from types import FrameType


class Interruption:
    """Raises KeyboardInterrupt when the signal comes, and again at `check` if something on the way caught it."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell's background job ignores SIGINT, and goes on doing so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        # Raised inside a __del__ it would be shown as "ignored"; it is not, `check` raises it again.
        shown = sys.unraisablehook
        sys.unraisablehook = lambda event: None if event.exc_type is KeyboardInterrupt else shown(event)

    def check(self) -> None:
        """To be called where stopping is safe."""
        if self.asked:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt
