"""A table of factors with a number to predict, and a survey of one's own as such a table: a CSV, checked line by line."""

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from rlx.attribution.shapley import MAX_GROUPS
from rlx.core.error import UserError, nearest
from rlx.core.seed import seed_of

MIN_ROWS = 40  # fewer rows divide into a training and a test part that say nothing
MAX_LEVELS = 10  # a target with at most so many whole numbers is a scale of levels


@dataclass(frozen=True)
class Part:
    """Rows of the training or of the test part: x (B, F) and y (B,), in float64."""

    x_BF: np.ndarray
    y_B: np.ndarray


class Source(Protocol):
    """Where tables come from. `groups`: the columns of each group of factors, by place."""

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]: ...

    @property
    def truth(self) -> tuple[float, ...] | None:
        """The true share of importance of each group, where it is known."""
        ...

    def fingerprint(self) -> object: ...

    def parts(self, seed: int) -> tuple[Part, Part]:
        """The training and the test part of a seed."""
        ...


def levels(y_B: np.ndarray) -> tuple[int, int] | None:
    """The lowest and the highest level where the target is a scale of a few whole numbers; else None."""
    values = np.unique(y_B)
    if len(values) > MAX_LEVELS or not np.array_equal(values, np.round(values)):
        return None
    return int(values[0]), int(values[-1])


@dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV file with a header, divided at random by seed.

    `factors`: the columns to predict from; None takes every other one. `named_groups`: columns that count as one factor
    (one-hot columns of one question, say); a column of none is a group of its own. Methods raise UserError (file, line and
    column) for what they cannot use.
    """

    path: Path
    target: str
    factors: tuple[str, ...] | None
    named_groups: Mapping[str, Sequence[str]]
    test_share: float

    def fingerprint(self) -> object:
        """The hash of the content in place of the path, the columns, and how rows are divided."""
        return {
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "target": self.target,
            "columns": list(self.columns),
            "groups": {name: list(columns) for name, columns in self.groups.items()},
            "test_share": self.test_share,
        }

    @property
    def truth(self) -> None:
        """Nobody knows it."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The factors' columns, in the order asked for."""
        header = self._rows[0]
        for what, names in (("target", [self.target]), ("factors", self.factors or ())):
            for name in names:
                if name not in header:
                    there = nearest(name, header) or f"; there are: {', '.join(header[:20])}"
                    raise UserError(f"{what}={name}: {self.path} has no such column{there}")
        return self.factors or tuple(name for name in header if name != self.target)

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Group -> places of its columns: the named groups, then every other column by itself."""
        taken: dict[str, str] = {}
        for group, names in self.named_groups.items():
            for name in names:
                if name not in self.columns:
                    raise UserError(f"groups.{group}: {name!r} is no factor{nearest(name, self.columns)}")
                if name in taken:
                    raise UserError(f"groups.{group}: column {name!r} is in the group {taken[name]} already")
                taken[name] = group
        found = {group: tuple(self.columns.index(n) for n in names) for group, names in self.named_groups.items()}
        found |= {name: (i,) for i, name in enumerate(self.columns) if name not in taken}
        if len(found) > MAX_GROUPS:
            raise UserError(
                f"{self.path}: {len(found)} factors; exact Shapley values take at most {MAX_GROUPS} groups of them, so put "
                "columns together: groups='{home: [rooms, garden]}', or take fewer: factors=[...]"
            )
        if len(found) < 2:
            raise UserError(f"{self.path}: one factor alone is all of the importance; name two or more: factors=[...]")
        return found

    def parts(self, seed: int) -> tuple[Part, Part]:
        """A random share of the rows to test on, and the others."""
        x_BF, y_B = self._numbers
        order = np.random.default_rng(seed_of("survey split", seed)).permutation(len(y_B))
        test = order[: round(self.test_share * len(y_B))]
        train = order[len(test) :]
        return Part(x_BF[train], y_B[train]), Part(x_BF[test], y_B[test])

    @cached_property
    def _rows(self) -> list[list[str]]:
        """The header and the rows, as text."""
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.path} is no CSV in UTF-8: {error}") from error
        if not rows:
            raise UserError(f"{self.path} is empty; its first line must name the columns")
        if twice := sorted({name for name in rows[0] if rows[0].count(name) > 1}):
            raise UserError(f"{self.path}:1: two columns are called {twice[0]!r}")
        return rows

    @cached_property
    def _numbers(self) -> tuple[np.ndarray, np.ndarray]:
        header, *rows = self._rows
        names = [*self.columns, self.target]
        if self.target in self.columns:
            raise UserError(f"factors: {self.target!r} is the target; a factor that is the answer explains everything")
        places = [header.index(name) for name in names]
        values = []
        for line, row in enumerate(rows, start=2):
            if not any(row):
                continue
            if len(row) != len(header):
                raise UserError(f"{self.path}:{line}: {len(row)} cells, but the first line names {len(header)} columns")
            values.append([self._number(row[i], line, name) for i, name in zip(places, names, strict=True)])
        if len(values) < MIN_ROWS:
            raise UserError(f"{self.path}: {len(values)} rows; at least {MIN_ROWS} are needed to train and test on")
        table = np.array(values)
        for name, column in zip(names, table.T, strict=True):
            if np.ptp(column) == 0:
                raise UserError(f"{self.path}: column {name!r} is {column[0]:g} in every row; leave it out of factors")
        return table[:, :-1], table[:, -1]

    def _number(self, text: str, line: int, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            what = repr(text) if text else "an empty cell"
            raise UserError(
                f"{self.path}:{line}: column {column!r} has {what}, which is no number; mend or delete the row, or leave the "
                "column out: factors=[...]"
            )
        return value
