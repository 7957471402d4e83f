"""Ctrl-C and a scheduler's TERM or USR1, as an exception that is not lost where a library swallows it. Signals are the
process's, so what is known of them is, too."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rlx.process import processes
from rlx.process.stop import Stopped

_asked = 0  # the signal's number
_waits = False  # inside at_steps


def listen() -> None:
    """From now on a signal raises Stopped; inside `at_steps`, TERM and USR1 wait for the step's end instead, so that it can
    be saved. With several processes a Ctrl-C waits as well: all of them must end at the same step."""
    global _asked
    _asked = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        # A shell's background job ignores SIGINT, and goes on doing so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _not_ours


@contextmanager
def at_steps() -> Iterator[None]:
    """Inside, someone asks `stopping` at the end of every step."""
    global _waits
    _waits = True
    try:
        yield
    finally:
        _waits = False


def stopping() -> bool:
    """Whether any process was asked to stop; all must ask at once, and all get one answer."""
    global _asked
    _asked = max(processes.gathered(_asked))
    return _asked != 0


def check() -> None:
    """Call this where it is safe to stop: raise Stopped if a signal has come."""
    if _asked:
        raise Stopped(_asked)


def _handle(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = max(_asked, number)
    if _waits and (number != signal.SIGINT or processes.size() > 1):
        return  # may come more than once: schedulers signal every process of a job, and launchers hand on
    raise Stopped(number)


def _not_ours(event: "sys.UnraisableHookArgs") -> None:
    """Raised inside a __del__, Stopped would be shown as "ignored"; it is not, `check` raises it again."""
    if event.exc_type is not Stopped:
        sys.__unraisablehook__(event)
