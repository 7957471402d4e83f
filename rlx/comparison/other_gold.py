"""Another gold judge on the samples that a run has kept: matched by prompt id, nothing drawn again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlx.comparison.pair import Versus, versus
from rlx.core.error import UserError
from rlx.core.world import Completion, Judge, Prompt
from rlx.metric.correlation import pearson

Row = Mapping[str, Any]


def judged_again(rows: Sequence[Row], judge: Judge) -> list[tuple[Row, Row]]:
    """Return (policy, start) per stored final sample, with the scores of `judge` as their gold.

    Raises UserError for rows that lack the start's completion, which runs of older versions did not keep.
    """
    if lacking := [row["prompt_id"] for row in rows if "start_completion" not in row]:
        raise UserError(f"sample {lacking[0]} has no completion of the start; measure the run again: rlx evaluate RUN")
    prompts = [_prompt(row) for row in rows]
    gold = judge.score(prompts, [Completion(row["completion"], row["ended"]) for row in rows])
    start_gold = judge.score(prompts, [Completion(row["start_completion"], row["start_ended"]) for row in rows])
    return [
        (
            {"completion": row["completion"], "length": row["length"], "gold": float(score)},
            {
                "completion": row["start_completion"],
                "length": row["start_length"],
                "gold": float(start),
                "start_gold": float(start),
            },
        )
        for row, score, start in zip(rows, gold, start_gold, strict=True)
    ]


def measured(rows: Sequence[Row], judge: Judge) -> dict[str, float]:
    """Return the gold metrics of a run's final samples by `judge`, named as those of the held-out battery, and
    `gold/own_gold_correlation`: Pearson's, between the gains over the start by `judge` and by the run's own gold. It is
    absent where one of the two has no spread. Raises UserError below 2 samples."""
    if len(rows) < 2:
        raise UserError(f"the run has kept {len(rows)} samples of its final measurement; another gold needs at least 2")
    pairs = judged_again(rows, judge)
    found = versus(pairs, with_proxy=False)
    metrics = _gold(found) | {
        "evaluation/num_prompts": float(found.num),
        "gold/score": float(np.mean([one["gold"] for one, _ in pairs])),
        "gold/start_score": float(np.mean([start["gold"] for _, start in pairs])),
    }
    gains = np.array([one["gold"] - start["gold"] for one, start in pairs])
    own = np.array([row["gold"] - row["start_gold"] for row in rows])
    if (r := pearson(gains, own)) is not None:
        metrics["gold/own_gold_correlation"] = r
    return dict(sorted(metrics.items()))


def _gold(found: Versus) -> dict[str, float]:
    bounds = ("", "_low", "_high")
    metrics = {f"gold/win_rate{bound}": value for bound, value in zip(bounds, found.win_rate, strict=True)}
    if found.win_rate_length_controlled is not None:
        controlled = zip(bounds, found.win_rate_length_controlled, strict=True)
        metrics |= {f"gold/win_rate_length_controlled{bound}": value for bound, value in controlled}
    if found.unit == "SD":
        metrics |= {f"gold/score_sd_units{bound}": value for bound, value in zip(bounds, found.gold, strict=True)}
    return metrics


def _prompt(row: Row) -> Prompt:
    text = row["prompt"]
    return Prompt(row["prompt_id"], text if isinstance(text, str) else tuple((role, words) for role, words in text))
