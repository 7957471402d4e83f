"""Rows of numbers as columns: a hundred thousand rows take a tenth of the memory that they would as objects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class _Part(NamedTuple):
    first: int  # the row of the first value
    values: np.ndarray  # (P,), NaN where a row has none


class Columns:
    """Rows that were measured at steps, in the order in which they were added; what is no number is left out. Of several
    rows of one step the last one counts."""

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        self._length = 0
        self._parts: dict[str, list[_Part]] = {"step": []}
        self.add(rows)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add `rows`, each of which has a step. Many at a time are fastest."""
        for name in set().union(*rows):
            values = [row.get(name) for row in rows]
            if (column := np.array(values)).dtype.kind not in "biuf":
                column = np.array([value if isinstance(value, int | float) else np.nan for value in values])
            self._parts.setdefault(name, []).append(_Part(self._length, column.astype(float)))
        self._length += len(rows)

    @property
    def last_step(self) -> int | None:
        """The highest step; None without rows."""
        return int(max(part.values.max() for part in self._parts["step"])) if self._length else None

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps, ascending, and values of the rows that have `name`, both of length S (0 where none has)."""
        steps, values = self._column("step"), self._column(name)
        # np.unique finds the first of equals: from behind, that is the last.
        kept = self._length - 1 - np.unique(steps[::-1], return_index=True)[1]
        kept = kept[~np.isnan(values[kept])]
        return steps[kept].astype(int), values[kept]

    def _column(self, name: str) -> np.ndarray:
        """(L,), NaN where a row lacks it."""
        column = np.full(self._length, np.nan)
        for part in self._parts.get(name, []):
            column[part.first : part.first + len(part.values)] = part.values
        return column
