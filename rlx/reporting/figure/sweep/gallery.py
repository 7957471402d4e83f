"""All figures of a sweep, in the order in which its report tells them."""

from collections.abc import Iterator
from pathlib import Path

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.figure.gallery import FigureFile, written
from rlx.reporting.figure.sweep import effects, fits, frontier, grid

FIGURES = (effects, frontier, fits, grid)


def draw_sweep(comparison: SweepComparison, directory: Path) -> Iterator[FigureFile]:
    """Write `directory`/<name>.png for each figure that the sweep has the numbers for; remove the others."""
    return written(FIGURES, comparison, directory)
