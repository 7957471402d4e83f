"""A sweep's tables: as text for the page and LaTeX, and with plain numbers as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlx.comparison.goodhart import Fit
from rlx.comparison.sweep import GOLD, MEASURES, Mean, SweepComparison
from rlx.comparison.unit import Units
from rlx.reporting.sweep.words import components, counted, in_short, overoptimised
from rlx.reporting.verdict import bounds, number
from rlx.run.sweep_record import flat

FAR = 3  # times the largest distance that was measured
SPREADS = "SD of gold, data | run seeds"
FORMS = {"bon": "d (a − b d)", "rl": "d (a − b log d)"}


@dataclass(frozen=True)
class Table:
    """`rows` are for people; `records` hold the same as numbers, a dict for each line of the CSV."""

    name: str
    title: str
    headings: list[str]
    rows: list[list[str]]
    records: list[dict[str, Any]]


def means(comparison: SweepComparison) -> Table:
    """A row for each combination: how many cells and units, and what they came to."""
    over, shown = overoptimised(comparison), {}
    records = []
    for label, found in comparison.means.items():
        cells = comparison.sweep.of(label)
        done = [cell for cell in cells if cell in comparison.sweep.done]
        shown[label] = [label, f"{len(done)} of {len(cells)}"]
        shown[label] += [_mean(found.get(measure), measure) for measure in MEASURES]
        first = (found.get(GOLD) or next(iter(found.values()))).units
        shown[label] += [counted(first), components(found[GOLD].units) if GOLD in found else ""]
        shown[label] += [f"{over[label]} of {len(done)}"]
        record = {**cells[0].axes, "done": len(done), "cells": len(cells), "over-optimised": over[label]}
        record |= {"n": first.num, "unit": first.kind}
        for measure, mean in found.items():
            record |= {measure: mean.value, f"{measure}_low": mean.low, f"{measure}_high": mean.high}
            record |= {f"{measure}_{name}": sd for name, sd in _spreads(mean.units).items()}
        records.append(record)
    headings = [" · ".join(comparison.sweep.axes) or "combination", "cells done", *MEASURES.values()]
    headings += ["n", SPREADS, "over-optimised"]
    return Table("means", "Every combination", headings, list(shown.values()), records)


def differences(comparison: SweepComparison) -> Table:
    """A row for each pair of values of an axis: gold, how often the first wins, and what may be said."""
    rows, records = [], []
    for one in comparison.differences:
        d = one.difference
        records.append({"axis": one.axis, "first": one.first, "second": one.second, "measure": one.measure})
        records[-1] |= {"difference": d.value, "low": d.low, "high": d.high, "n": d.num, "unit": d.units.kind}
        records[-1] |= {"runs": d.units.runs, "settings": one.settings, **_spreads(d.units)}
        records[-1] |= {"p": d.p, "n_needed": d.needed, "distinguishable": d.distinguishable}
        if one.measure == GOLD:
            won = comparison.wins.get((one.axis, one.first, one.second))
            if won is not None:
                records[-1] |= {"wins": won.value, "wins_low": won.low, "wins_high": won.high}
            p = "" if d.p is None else f"{d.p:.3f}"
            pair = f"{one.axis}: {one.first or '(default)'} − {one.second or '(default)'}"
            rows.append([pair, _difference(d.value, d.low, d.high), _mean(won, "gold/win_rate")])
            rows[-1] += [counted(d.units), components(d.units), p, in_short(one)]
    headings = ["pair", "gold, SD", "first wins", "n", SPREADS, "p", "in words"]
    return Table("differences", "By axis, pair by pair", headings, rows, records)


def _spreads(units: Units) -> dict[str, float | None]:
    """Columns of the CSV."""
    return {"sd": units.sd, "sd_between_data_seeds": units.between, "sd_within_data_seeds": units.within}


def fits(comparison: SweepComparison) -> Table:
    """A row for each fitted combination: the law, its two numbers and its peak."""
    rows, records = [], []
    for label, fitted in comparison.fits.items():
        where, top = _peak(fitted)
        rows.append(
            [
                label,
                FORMS[fitted.kind],
                _minus(f"{fitted.a:.3f}"),
                _minus(f"{fitted.b:.3f}"),
                where,
                top,
                f"{fitted.error:.2f}",
            ]
        )
        d_star, r_star = fitted.peak or (None, None)
        records.append({"label": label, "form": fitted.kind, "a": fitted.a, "b": fitted.b, "peak_d": d_star})
        records[-1] |= {"peak_gold": r_star, "points": fitted.num, "furthest": fitted.furthest, "rms": fitted.error}
    headings = ["combination", "form", "a", "b", "d*", "gold at d*, SD", "rms error, SD"]
    return Table("fits", "Gao et al.'s laws", headings, rows, records)


def _peak(fitted: Fit) -> tuple[str, str]:
    """d* and gold there, as far as measurements carry: a law's exponential says anything beyond them."""
    if fitted.peak is None:
        return "none", ""
    d_star, r_star = fitted.peak
    if d_star > FAR * fitted.furthest:
        return f"beyond {number(FAR * fitted.furthest)}", ""
    return number(d_star) + (" (not reached)" if d_star > fitted.furthest else ""), number(r_star, plus=True)


def cells(comparison: SweepComparison) -> Table:
    """A row for each cell: state, seeds, time and the reason where it is not done."""
    rows, records = [], []
    for cell in comparison.sweep.cells:
        gold = comparison.value(cell, GOLD) if cell.metrics else None
        shown = "" if gold is None else number(gold, plus=True)
        rows.append([cell.label, f"{cell.seed}, {cell.data_seed}", cell.state, shown, _time(cell.seconds), cell.name])
        row = {"run": cell.name, "state": cell.state, "reason": cell.reason, "seconds": cell.seconds, "seed": cell.seed}
        row |= {"data_seed": cell.data_seed, "axes": cell.axes, "choices": {}, "overrides": [], "metrics": cell.metrics}
        records.append({key: value for key, value in flat(row).items() if key != "overrides"})
    headings = [
        " · ".join(comparison.sweep.axes) or "combination",
        "seed, data seed",
        "state",
        "gold, SD",
        "time",
        "run",
    ]
    return Table("cells", "Every cell", headings, rows, records)


def as_csv(table: Table) -> str:
    """All columns that any record has; what a record lacks is empty."""
    columns = list(dict.fromkeys(key for record in table.records for key in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in record.items()} for record in table.records)
    return text.getvalue()


def as_latex(table: Table) -> str:
    """A booktabs tabular, to \\input."""
    lines = [" & ".join(_tex(word) for word in row) + r" \\" for row in table.rows]
    head = " & ".join(_tex(word) for word in table.headings) + r" \\"
    columns = "l" * 1 + "r" * (len(table.headings) - 1)
    return "\n".join(
        [
            r"\begin{tabular}{" + columns + "}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _tex(text: str) -> str:
    for sign in ("\\", "{", "}"):
        text = text.replace(sign, {"\\": "\0", "{": r"\{", "}": r"\}"}[sign])
    for sign in "&%$#_":
        text = text.replace(sign, f"\\{sign}")
    signs = {
        "\0": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "−": "$-$",
        "·": r"$\cdot$",
    }
    for sign, tex in signs.items():
        text = text.replace(sign, tex)
    return text


def _mean(mean: Mean | None, measure: str) -> str:
    if mean is None:
        return ""
    if measure == "gold/win_rate":
        text = f"{100 * mean.value:.0f} %"
        return (
            text if mean.low is None or mean.high is None else f"{text} [{100 * mean.low:.0f}, {100 * mean.high:.0f}]"
        )
    text = number(mean.value, plus=measure in (GOLD, "curve/proxy"))
    return text + bounds(mean.low, mean.high) if measure == GOLD and mean.low is not None else text  # the CSV has all


def _difference(value: float, low: float | None, high: float | None) -> str:
    """In SD with two decimals."""
    return number(value, plus=True) + ("" if low is None else bounds(low, high))


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _time(seconds: float) -> str:
    return "" if not seconds else f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def all_tables(comparison: SweepComparison) -> Sequence[Table]:
    """In the order in which the page tells them."""
    return [differences(comparison), means(comparison), fits(comparison), cells(comparison)]
