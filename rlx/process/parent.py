"""A process that another one started and that is to end with it: a killed launcher or sweep leaves nobody at work."""

import ctypes
import os
import signal
import sys

PARENT = "RLX_PARENT"  # the environment variable by which a command tells those that it starts who it is
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """From now on a TERM comes when the process that started this one is gone; at once where it is gone already. Only Linux
    tells of that. Those that this process starts are not meant."""
    parent = os.environ.pop(PARENT, None)
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
