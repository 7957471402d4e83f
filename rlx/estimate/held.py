"""A line of a process's memory, when it stands, and the most that stands together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["drawing", "scoring", "learning", "updating"]
PHASES: tuple[Phase, ...] = ("drawing", "scoring", "learning", "updating")
LEARNING: tuple[Phase, ...] = ("learning", "updating")


@dataclass(frozen=True)
class Held:
    """Bytes of one process, on its device or (`offloaded`) in the CPU's memory, all of the time or in some phases.

    A step draws completions, scores them, learns from micro-batches (forward and backward) and updates the weights.
    """

    what: str
    bytes: int
    when: tuple[Phase, ...] = PHASES
    offloaded: bool = False
    how: str = ""

    @property
    def shown_when(self) -> str:
        """For a table."""
        if self.offloaded:
            return "in the CPU's memory"
        return "always" if self.when == PHASES else ", ".join(self.when)


def most(rows: Iterable[Held], offloaded: bool = False) -> int:
    """The most that stands at once: what is always there, and the largest of the phases."""
    rows = list(rows)
    return max(in_phase(rows, phase, offloaded) for phase in PHASES)


def in_phase(rows: Iterable[Held], phase: Phase, offloaded: bool = False) -> int:
    """What stands in one phase."""
    return sum(row.bytes for row in rows if row.offloaded == offloaded and phase in row.when)
