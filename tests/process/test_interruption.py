import os
import signal
import sys

import pytest

from rlx.process import interruption


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_swallows_comes_again_at_the_next_check(handlers, number):
    signal.signal(number, signal.default_int_handler)
    interruption.listen()
    interruption.check()
    with pytest.raises(KeyboardInterrupt):  # the library that catches it
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_a_background_jobs_ignored_ctrl_c_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.listen()
    os.kill(os.getpid(), signal.SIGINT)
    interruption.check()
