"""What a command says while it works: its own lines on the terminal and in the run's log, other libraries' only if they matter."""

import logging
import os
import warnings
from pathlib import Path

from rich.logging import RichHandler

from rlx.process.progress import console


class Warnings(logging.Handler):
    """Keeps the distinct warnings that rlx gave, for provenance and report."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if (line := record.getMessage()) not in self.said:
            self.said.append(line)


def speak(log_file: Path | None = None) -> Warnings:
    """Send rlx's log to standard error (above the progress bars) and to `log_file`; returns the warnings, as they come.

    transformers' own progress bars and loading reports, and TRL's telemetry, are turned off.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # Of transformers, about a name that TRL uses; nobody who trains can do anything about it.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
    ours = logging.getLogger("rlx")
    for handler in list(ours.handlers):
        ours.removeHandler(handler)
        handler.close()
    ours.setLevel(logging.INFO)
    ours.propagate = False
    shown = RichHandler(
        console=console,
        show_path=False,
        show_level=False,
        omit_repeated_times=False,
        log_time_format="%H:%M:%S",
        markup=False,
    )
    if not console.is_terminal:  # a log file of a scheduler: no wrapping, no colours
        shown = logging.StreamHandler()
    told = Warnings()
    handlers: list[logging.Handler] = [shown, told]
    if log_file is not None:
        handlers.append(logging.FileHandler(log_file))
    for handler in handlers:
        if not isinstance(handler, RichHandler):
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        ours.addHandler(handler)
    return told
