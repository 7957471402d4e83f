"""How the cells of a sweep are told apart: one axis by colour, one by line and marker, the others by panel."""

from collections.abc import Iterable, Sequence, Set
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rlx.comparison.sweep import SweepComparison
from rlx.reporting.figure.style import INK
from rlx.run.sweep_record import CellRecord, named

# Okabe and Ito's palette without its yellow, which white paper swallows, and with the figures' violet.
COLOURS = ("#0072b2", "#d55e00", "#00795c", "#7b3294", "#b8860b", "#56b4e9", "#cc79a7", "#22262d")
LINES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)), (0, (2.5, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")
LEGEND_ROW = 0.21  # inches
LEGEND_COLUMNS = 2


class Look(NamedTuple):
    colour: str
    line: Any = "-"
    marker: str = "o"

    def plot(self, **more: Any) -> dict[str, Any]:
        """Keywords of Axes.plot."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker, "markersize": 3.8, **more}


class Facet(NamedTuple):
    """The labels of one panel, and what they have in common ("" where there is one panel only)."""

    title: str
    labels: list[str]


class Looks:
    """The same in every figure of a sweep. Colour: the first axis that is not the optimizer; line: the optimizer, so that
    best-of-n and RL share their axes, or else the second axis; panels: what is left."""

    def __init__(self, comparison: SweepComparison) -> None:
        axes = comparison.sweep.axes
        names = [name for name in axes if name != "optimizer"] + (["optimizer"] if "optimizer" in axes else [])
        self.by_colour = names[0] if names else None
        self.by_line = None if len(names) < 2 else "optimizer" if "optimizer" in axes else names[1]
        self._axes, self._cells = axes, comparison.sweep.cells
        self._by_panel = [name for name in names if name not in (self.by_colour, self.by_line)]

    def of(self, label: str) -> Look:
        cell = next(cell for cell in self._cells if cell.label == label)
        i, j = self._place(cell, self.by_colour), self._place(cell, self.by_line)
        return Look(COLOURS[i % len(COLOURS)], LINES[j % len(LINES)], MARKERS[j % len(MARKERS)])

    def facets(self, labels: Sequence[str]) -> list[Facet]:
        """`labels` by panel."""
        found: dict[str, list[str]] = {}
        for label in labels:
            cell = next(cell for cell in self._cells if cell.label == label)
            title = " · ".join(named(name, cell.axes[name]) for name in self._by_panel)
            found.setdefault(title, []).append(label)
        return [Facet(title, members) for title, members in found.items()]

    def legend(self, figure: Figure, labels: Iterable[str]) -> None:
        """Of what `labels` have, below all panels, where it hides no curve. The figure must be `legend_height` taller for it."""
        names = self._names(set(labels))
        if not names:
            return
        figure.legend(
            [Line2D([], [], linewidth=2, **look.plot()) for _, look in names],
            [name for name, _ in names],
            loc="outside lower left",
            ncols=LEGEND_COLUMNS,
            frameon=False,
            fontsize=9.5,
            labelcolor=INK,
            handlelength=3.2,
            columnspacing=1.5,
            borderaxespad=0.2,
        )

    @property
    def legend_height(self) -> float:
        """Inches that `legend` takes."""
        return 0.15 + LEGEND_ROW * -(-len(self._names()) // LEGEND_COLUMNS)

    def _names(self, labels: Set[str] | None = None) -> list[tuple[str, Look]]:
        """Colours in the first column, lines in the second, or colours in both; the shorter column is filled up."""
        colours, lines = (
            [named(axis or "", value) for value in self._axes.get(axis or "", [])]
            for axis in (self.by_colour, self.by_line)
        )
        drawn = [cell for cell in self._cells if labels is None or cell.label in labels]
        there = [{named(a, cell.axes[a]) for cell in drawn} if a else set() for a in (self.by_colour, self.by_line)]
        marker = "" if lines else "o"
        first = [(v, Look(COLOURS[i % len(COLOURS)], "-", marker)) for i, v in enumerate(colours) if v in there[0]]
        second = [
            (v, Look(INK, LINES[j % len(LINES)], MARKERS[j % len(MARKERS)]))
            for j, v in enumerate(lines)
            if v in there[1]
        ]
        if second:
            rows, nothing = max(len(first), len(second)), [("", Look("none", "none", ""))]
            first += nothing * (rows - len(first))
            second += nothing * (rows - len(second))
        return first + second

    def _place(self, cell: CellRecord, axis: str | None) -> int:
        return 0 if axis is None else self._axes[axis].index(cell.axes[axis])
