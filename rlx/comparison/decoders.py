"""What decoders gain over the data seeds: gold of each, and the part of the gap to the tuned large policy that each closes.

A row is a policy: the large one before training, the small experts, the large one with the experts' change by each decoder,
and the large one tuned directly, which is the ceiling. All are judged by the same gold on the same held-out prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlx.comparison.paired import Difference, difference_of
from rlx.comparison.ratio import Ratio, ratio
from rlx.comparison.unit import Run, Units, units_of

BASE, EXPERT, CEILING = "large, untuned", "expert alone: ", "large, tuned directly"


@dataclass(frozen=True)
class DecodedRow:
    """One policy over the data seeds. Ratios are None for the base itself, and for the ceiling, against which they count."""

    name: str
    gold: Units
    over_base: Difference | None
    over_experts: Difference | None  # of a decoder: over the expert with the most gold on average; else None
    closed: Ratio | None  # (gold - base) / (ceiling - base)
    of_ceiling: Ratio | None  # gold / ceiling, as the paper counts it


def rows_of(measured: Sequence[Mapping[str, Any]]) -> list[DecodedRow]:
    """`measured`: one mapping per run and decoder, with `seeds` (seed, data seed), `decoder` and `metrics`, in the order in
    which decoders are to be listed. Raises ValueError where a run has no gold of its trained policy."""
    golds: dict[str, dict[Run, float]] = {BASE: {}}
    for one in measured:
        seeds, metrics = one["seeds"], one["metrics"]
        golds[BASE][seeds] = metrics["gold/start_score"]
        for name in sorted(name for name in metrics if name.startswith("decoder/expert_gold_")):
            golds.setdefault(f"{EXPERT}{one['experts'][int(name.rpartition('_')[2])]}", {})[seeds] = metrics[name]
    for one in measured:
        golds.setdefault(one["decoder"], {})[one["seeds"]] = one["metrics"]["gold/score"]
    ceilings = {one["seeds"]: one["metrics"].get("decoder/model_gold") for one in measured}
    if any(gold is None for gold in ceilings.values()):
        raise ValueError("a run kept no completions of its trained policy on these prompts")
    golds[CEILING] = {seeds: float(gold) for seeds, gold in ceilings.items() if gold is not None}
    return [_row(name, values, golds) for name, values in golds.items()]


def _row(name: str, values: Mapping[Run, float], golds: Mapping[str, Mapping[Run, float]]) -> DecodedRow:
    gold = units_of(values)
    if name == BASE:
        return DecodedRow(name, gold, None, None, None, None)
    base, ceiling = ({run: golds[which][run] for run in values} for which in (BASE, CEILING))
    over = {run: values[run] - base[run] for run in values}
    over_base = difference_of(units_of(over))
    if name == CEILING:
        return DecodedRow(name, gold, over_base, None, None, None)
    gap_U = units_of({run: ceiling[run] - base[run] for run in values}).values_U
    closed = ratio(units_of(over).values_U, gap_U, "ceiling - base")
    of_ceiling = ratio(gold.values_U, units_of(ceiling).values_U, "the ceiling's gold")
    experts = [of_expert for which, of_expert in golds.items() if which.startswith(EXPERT)]
    if name.startswith(EXPERT) or not experts:
        return DecodedRow(name, gold, over_base, None, closed, of_ceiling)
    best = max(experts, key=lambda of_expert: units_of(of_expert).value)
    over_experts = difference_of(units_of({run: values[run] - best[run] for run in values}))
    return DecodedRow(name, gold, over_base, over_experts, closed, of_ceiling)


def between(rows: Sequence[DecodedRow]) -> list[tuple[str, str, Difference]]:
    """Every pair of decoders, the later one first, with the paired difference of their gold."""
    decoders = [row for row in rows if row.name not in (BASE, CEILING) and not row.name.startswith(EXPERT)]
    found = []
    for i, second in enumerate(decoders):
        for first in decoders[:i]:
            gaps_U = second.gold.values_U - first.gold.values_U
            found.append((second.name, first.name, difference_of(units_of({(k, k): x for k, x in enumerate(gaps_U)}))))
    return found


def mean_alphas(alphas: Sequence[Sequence[Sequence[float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along the text: quartiles and mean of the experts' alphas together at each place, (4, T), the number of completions
    that reach it, (T,), and the share of tokens at each value, (A, 2), from B lists of E lists of tokens."""
    sums = [np.sum(row, axis=0) for row in alphas]
    longest = max(len(row) for row in sums)
    columns = [np.array([row[t] for row in sums if len(row) > t]) for t in range(longest)]
    along = np.array([[*np.quantile(column, [0.25, 0.5, 0.75]), column.mean()] for column in columns]).T
    values, counts = np.unique(np.round(np.concatenate(sums), 4), return_counts=True)
    return along, np.array([len(column) for column in columns]), np.stack([values, counts / counts.sum()], -1)
