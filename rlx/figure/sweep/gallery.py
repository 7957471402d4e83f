"""All figures of a sweep, in the order in which its report tells them."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl

from rlx.comparison.sweep import Comparison
from rlx.figure import style
from rlx.figure.gallery import Drawn
from rlx.figure.sweep import effects, fits, frontier, grid

FIGURES = (effects, frontier, fits, grid)


def draw_sweep(comparison: Comparison, directory: Path) -> Iterator[Drawn]:
    """Write `directory`/<name>.png for each figure that the sweep has the numbers for; remove the others."""
    directory.mkdir(parents=True, exist_ok=True)
    for module in FIGURES:
        name = module.__name__.rpartition(".")[2]
        path = directory / f"{name}.png"
        with mpl.rc_context(style.STYLE):
            drawn = module.draw(comparison)
            if drawn is None:
                path.unlink(missing_ok=True)
                yield Drawn(name, module.TITLE, module.ABSENT, None)
                continue
            figure, caption = drawn
            style.save(figure, path)
        yield Drawn(name, module.TITLE, caption, path)
