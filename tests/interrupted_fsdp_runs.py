"""As forced_fsdp_runs, asked to stop at every third step of whatever is trained."""

import signal
from pathlib import Path

import forced_fsdp_runs

from rlx.process import interruption

_stopping = interruption.stopping
_steps = 0


def _at_the_third() -> bool:
    global _steps
    _steps += 1
    if _steps == 3:
        interruption._asked = signal.SIGUSR1
    return _stopping()


def work(listing: Path) -> None:
    interruption.stopping = _at_the_third
    forced_fsdp_runs.work(listing)
