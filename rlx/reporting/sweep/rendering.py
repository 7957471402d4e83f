"""A sweep's report as one HTML page: no script, no file beside it, and every text that a user wrote is escaped."""

from collections import Counter
from collections.abc import Sequence

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.description import describe
from rlx.reporting.figure.gallery import FigureFile
from rlx.reporting.page import page, pictures
from rlx.reporting.sweep.tables import Table
from rlx.reporting.sweep.words import sweep_verdict
from rlx.reporting.table import duration
from rlx.run.sweep_record import SweepRecord


def render_sweep(comparison: SweepComparison, figures: Sequence[FigureFile], tables: Sequence[Table]) -> str:
    """The page."""
    sweep = comparison.sweep
    return page(
        "sweep/sweep.html.jinja",
        name=sweep.path.name,
        state=state(sweep),
        description=description(sweep),
        verdict=sweep_verdict(comparison),
        tables={table.name: table for table in tables},
        figures={picture.name: picture for picture in pictures(figures)},
        undone=[cell for cell in sweep.cells if cell not in sweep.done],
        costs=costs(sweep),
        command=sweep.command.get("command"),
    )


def state(sweep: SweepRecord) -> tuple[str, str]:
    """A badge's class and its words: `done`, or how many cells are in which state."""
    counts = Counter(cell.state for cell in sweep.cells)
    if set(counts) == {"done"}:
        return "done", f"{len(sweep.cells)} cells done"
    return ("failed" if counts["failed"] else ""), ", ".join(f"{n} {name}" for name, n in counts.most_common())


def description(sweep: SweepRecord) -> str:
    """What differs, what is repeated, and what the first cell with a config is in words."""
    axes = "; ".join(
        f"{axis}: {', '.join(value or '(default)' for value in values)}" for axis, values in sweep.axes.items()
    )
    seeds = sorted({cell.seed for cell in sweep.cells})
    data_seeds = sorted({cell.data_seed for cell in sweep.cells})
    text = f"{len(sweep.cells)} cells: {axes or 'one combination'}; seed {', '.join(map(str, seeds))}"
    text += f"; data seed {', '.join(map(str, data_seeds))}." if data_seeds != [0] else "."
    first = next((cell for cell in sweep.cells if cell.run is not None), None)
    return text if first is None or first.run is None else f"{text} The first of them: {describe(first.run)}"


def costs(sweep: SweepRecord) -> list[str]:
    """Sentences on time, as far as it was kept."""
    cells = sum(cell.seconds for cell in sweep.cells)
    built: dict[str, float | None] = sweep.prepared.get("artefacts", {})
    needs: dict[str, list[str]] = sweep.prepared.get("needs", {})
    lines = [f"Cells: {duration(cells)} of process time, added up over interruptions."] if cells else []
    if wall := sweep.command.get("seconds"):
        at_once = sweep.command.get("at_once", 1)
        lines.append(
            f"On the clock: {duration(float(wall))}, {at_once} at a time, artefacts and all commands included."
        )
    known = {name: seconds for name, seconds in built.items() if seconds is not None}
    if known and all(cell.name in needs for cell in sweep.cells):
        shared = sum(known.values())
        alone = cells + sum(known.get(artefact, 0.0) for cell in sweep.cells for artefact in needs[cell.name])
        lines.append(
            f"Shared artefacts: {duration(shared)}, built once. Had every cell built its own, the same work would have taken "
            f"{duration(alone)} of process time; it took {100 * (cells + shared) / alone:.0f} % of that."
        )
    return lines
