"""Two runs against each other on the same held-out prompts: matched by prompt id from their stored samples, never drawn again.

Win rate: the share of prompts on which gold prefers the first run's completion; a tie counts half. The interval of the mean
difference in gold is paired by prompt, by Student's t. Both are over prompts of two given runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlx.core.error import UserError
from rlx.metric.interval import mean_interval
from rlx.metric.length_control import MIN_PROMPTS, controlled_win_rate
from rlx.metric.score import gain
from rlx.metric.win_rate import interval, outcomes
from rlx.run.record import RunRecord

Row = Mapping[str, Any]
Estimate = tuple[float, float, float]  # value, lower and upper bound of its 95 % interval


@dataclass(frozen=True)
class Samples:
    """One run's completions by prompt id; `step` is None where they are those of the final measurement."""

    rows: Mapping[str, Row]
    step: int | None


@dataclass(frozen=True)
class Versus:
    """The first run against the second over `num` prompts."""

    num: int
    win_rate: Estimate
    win_rate_length_controlled: Estimate | None  # None below 8 prompts, or where tokens were not kept
    gold: Estimate  # first minus second
    unit: str  # of gold: "SD" of the second's start, or the judge's own
    lengths: tuple[float, float]  # means
    length_unit: str  # tokens, or words where tokens were not kept
    proxy: Estimate | None  # first minus second; None where the two have no scale in common


def samples_of(record: RunRecord) -> Samples:
    """Those of the final measurement, or of the last evaluation where a run kept no others. Raises UserError without any."""
    if record.finished and (rows := record.final_samples()):
        return Samples(rows, None)
    if not record.sampled_steps:
        raise UserError(f"{record.path} has kept no samples yet; finish it first: rlx train {record.path}")
    step = record.sampled_steps[-1]
    return Samples(record.samples_at(step), step)


def incomparable(first: RunRecord, second: RunRecord) -> str | None:
    """One line on what keeps gold from being one scale for both runs; None where nothing is known to."""
    pairs = [
        ("world", first.choice("world"), second.choice("world")),
        ("data_seed", first.config.get("data_seed"), second.config.get("data_seed")),
    ]
    worlds = [record.config.get("world") or {} for record in (first, second)]
    pairs += [(f"world.{key}", *(world.get(key) for world in worlds)) for key in ("path", "gold", "language")]
    pairs.append(("world.task", *(world.get("task", "quality") for world in worlds)))
    judges = [(record.provenance.get("artefacts") or {}).get("gold reward model") for record in (first, second)]
    pairs.append(("the gold reward model", *judges))
    for name, one, other in pairs:
        if one != other:
            return f"{name} differs: {one} in {first.path.name}, {other} in {second.path.name}"
    return None


def matched(first: Mapping[str, Row], second: Mapping[str, Row]) -> list[tuple[Row, Row]]:
    """Rows of the prompts that both have, in the first's order. Raises UserError for none, and for one id with two texts."""
    common = [(row, second[key]) for key, row in first.items() if key in second]
    if len(common) < 2:
        raise UserError(f"the two runs have {len(common)} held-out prompts in common; a comparison needs at least 2")
    for one, other in common:
        if one["prompt"] != other["prompt"]:
            raise UserError(f"prompt {one['prompt_id']} has another text in each run: their data differ")
    return common


def same_proxy(first: RunRecord, second: RunRecord) -> bool:
    """Whether both were rewarded by the same aggregate of the same members: only then are proxies on one scale."""
    addresses = [[member.get("address") for member in record.members] for record in (first, second)]
    return first.config.get("reward") == second.config.get("reward") and addresses[0] == addresses[1]


def versus(pairs: Sequence[tuple[Row, Row]], with_proxy: bool) -> Versus:
    """Of the matched rows, at least two."""
    gold = _column(pairs, "gold")
    assert gold is not None, "every sample has gold"
    won_N = outcomes(*gold)
    tokens = _column(pairs, "length")
    words = [np.array([len(pair[side]["completion"].split()) for pair in pairs]) for side in (0, 1)]
    lengths, length_unit = (words, "words") if tokens is None else (tokens, "tokens")
    start = np.array([pair[1].get("start_gold", np.nan) for pair in pairs], dtype=float)
    known = bool(np.isfinite(start).all() and np.ptp(start) > 0)
    spread = float(np.std(start, ddof=1)) if known else 1.0
    enough = tokens is not None and len(pairs) >= MIN_PROMPTS
    proxy = _column(pairs, "proxy") if with_proxy else None
    return Versus(
        num=len(pairs),
        win_rate=(float(won_N.mean()), *interval(won_N)),
        win_rate_length_controlled=controlled_win_rate(won_N, lengths[0] - lengths[1]) if enough else None,
        gold=_difference(gold[0] / spread, gold[1] / spread),
        unit="SD" if known else "in the judge's unit",
        lengths=(float(lengths[0].mean()), float(lengths[1].mean())),
        length_unit=length_unit,
        proxy=None if proxy is None else _difference(*proxy),
    )


def start_of(row: Row) -> Row:
    """The start's side of a sample of a final measurement, as a row of its own."""
    own = {name: row[f"start_{name}"] for name in ("completion", "ended", "gold", "length")}
    return {**own, "prompt_id": row["prompt_id"], "prompt": row["prompt"], "start_gold": row["start_gold"]}


def win_rate(first: RunRecord, second: RunRecord) -> float | None:
    """The share of common prompts that the first wins; None where they cannot be compared."""
    if incomparable(first, second) is not None:
        return None
    try:
        pairs = matched(samples_of(first).rows, samples_of(second).rows)
    except UserError:
        return None
    gold = _column(pairs, "gold")
    return None if gold is None else float(outcomes(*gold).mean())


def _difference(first_N: np.ndarray, second_N: np.ndarray) -> Estimate:
    gain_N = gain(first_N, second_N)
    if np.ptp(gain_N) == 0:
        return float(gain_N[0]), float(gain_N[0]), float(gain_N[0])
    return (float(gain_N.mean()), *mean_interval(gain_N))


def _column(pairs: Sequence[tuple[Row, Row]], name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Both sides' values, or None where a row lacks one."""
    first, second = ([pair[side].get(name) for pair in pairs] for side in (0, 1))
    return None if None in first or None in second else (np.array(first, dtype=float), np.array(second, dtype=float))
