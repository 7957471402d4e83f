"""Being asked to stop, and what the exit code then says."""

import signal

REQUEUE = 85  # all is saved, and a scheduler should start the same command again


class Stopped(KeyboardInterrupt):
    """A signal asked for it. `code`: REQUEUE for USR1, which schedulers send ahead of a job's end, else 128 + the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
        self.code = REQUEUE if number == signal.SIGUSR1 else 128 + number
