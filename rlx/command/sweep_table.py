"""What a sweep says when a cell ends and when all have: in words and as a table."""

import time
from typing import TYPE_CHECKING

from rlx.run.state import short_path

if TYPE_CHECKING:
    from rlx.run.sweep_index import CellRow, SweepDirectory

COLOURS = {"done": "green", "failed": "red", "interrupted": "yellow"}


def finished_line(row: "CellRow", seconds: float, left: int, each: float, at_once: int) -> str:
    """`done in 42 s: runs/...; 3 left, about 2 min`. `each`: what a cell takes, of which `at_once` run."""
    reason = f" ({row.state.reason})" if row.state.reason else ""
    rest = f"; {left} left, about {duration(each * left / at_once)}" if left else ""
    return f"  {row.state.state} in {duration(seconds)}: {row.run_dir.name}{reason}{rest}"


def show_table(directory: "SweepDirectory", started: float) -> None:
    """One row a cell, then where the index is and what to do next."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="sweep", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("run directory", no_wrap=True)
    for column in ("state", "time", "reason"):
        table.add_column(column, overflow="fold")
    for row in directory.rows:
        colour = COLOURS.get(row.state.state, "white")
        state = f"[{colour}]{row.state.state}[/]"
        table.add_row(
            short_path(row.run_dir), state, duration(row.seconds) if row.seconds else "", escape(row.state.reason)
        )
    console = Console(highlight=False, soft_wrap=False)
    console.width = max(console.width, 100)
    console.print(table)
    done = sum(row.done for row in directory.rows)
    took = duration(time.monotonic() - started)
    console.print(f"{done} of {len(directory.rows)} cells are done; this command took {took}.", markup=False)
    if done < len(directory.rows):
        console.print("The same command again does only what is not done.")
    console.print(f"`rlx report {short_path(directory.path)}` compares them.", markup=False)


def duration(seconds: float) -> str:
    """42 s, 3.1 min or 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
