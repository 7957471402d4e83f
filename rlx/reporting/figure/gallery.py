"""All figures of a run, in the order in which a report tells them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

from rlx.reporting.figure import (
    cleaning,
    curves,
    disagreement,
    factors,
    gold_by_divergence,
    gold_by_step,
    importance,
    optimizer,
    style,
    win_rate,
)
from rlx.run.record import RunRecord

OF_BEST_OF_N = (gold_by_divergence, factors, importance)  # there is no training to look at
FIGURES = (gold_by_divergence, gold_by_step, win_rate, factors, curves, disagreement, importance, optimizer)


class FigureFile(NamedTuple):
    """A figure that was written to `path`, or None with what it takes to draw it as its caption."""

    name: str
    title: str
    caption: str
    path: Path | None


def draw_all(record: RunRecord, directory: Path) -> Iterator[FigureFile]:
    """Write `directory`/<name>.png for each figure that the run has the numbers for; remove the others."""
    wanted = OF_BEST_OF_N if record.bon else FIGURES
    more = [cleaning] if record.cleaning else []  # a run without a cleaner lacks nothing
    return written([*(module for module in FIGURES if module in wanted), *more], record, directory)


def written(modules: Sequence[Any], subject: Any, directory: Path, called: str | None = None) -> Iterator[FigureFile]:
    """Write `directory`/<name>.png for each of the figure `modules` that can draw `subject`; remove the others. `called`: the
    name, in place of the module's."""
    directory.mkdir(parents=True, exist_ok=True)
    for module in modules:
        name = called or module.__name__.rpartition(".")[2]
        path = directory / f"{name}.png"
        with mpl.rc_context(style.STYLE):
            drawn = module.draw(subject)
            if drawn is None:
                path.unlink(missing_ok=True)
                yield FigureFile(name, module.TITLE, module.ABSENT, None)
                continue
            figure, caption = drawn
            style.save(figure, path)
        yield FigureFile(name, module.TITLE, caption, path)
