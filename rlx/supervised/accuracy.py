"""How often a judge orders pairs as their labels say, with intervals whose unit is the prompt.

Pairs of one prompt are not independent, so the standard error is that of a ratio of sums over prompts (Cochran 1977, eq.
2.46). The interval is Wilson's (1927) with the number of independent pairs that has this standard error (Korn and Graubard
1998) and Student's t over the prompts, so that it stays within [0, 1] and has a width where every pair is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from rlx.supervised.pairs import Preference

CONFIDENCE = 0.95
Scores = tuple[Sequence[float], Sequence[float]]  # of the chosen and of the rejected, B each


@dataclass(frozen=True)
class Share:
    """A share of B pairs, or a difference of two; `error` and the bounds are None where fewer than two prompts have one."""

    value: float
    error: float | None
    low: float | None
    high: float | None


def credit(chosen_B: Sequence[float], rejected_B: Sequence[float]) -> np.ndarray:
    """1 where the chosen scores higher, 0 where it scores lower, 1/2 for a tie, (B,)."""
    return (np.sign(np.asarray(chosen_B, dtype=float) - np.asarray(rejected_B, dtype=float)) + 1) / 2


def clustered_error(values_B: np.ndarray, prompt_ids: Sequence[str]) -> tuple[float | None, int]:
    """The standard error of the mean of `values_B` and the number P of prompts: sqrt(P/(P-1) sum_p (s_p - mean n_p)^2)/B,
    s_p and n_p being the sum and the number of prompt p's values. None for fewer than two prompts."""
    _, places = np.unique(np.asarray(prompt_ids), return_inverse=True)
    count = int(places.max()) + 1 if len(places) else 0
    if count < 2:
        return None, count
    residuals_P = np.bincount(places, values_B - values_B.mean())
    return sqrt(count / (count - 1) * float(residuals_P @ residuals_P)) / len(values_B), count


def share(credit_B: np.ndarray, prompt_ids: Sequence[str]) -> Share | None:
    """The mean credit with its 95 % interval; None of no pair."""
    if not len(credit_B):
        return None
    value = float(credit_B.mean())
    error, prompts = clustered_error(credit_B, prompt_ids)
    if error is None:
        return Share(value, None, None, None)
    independent = value * (1 - value) / error**2 if error > 0 else prompts
    t = float(stats.t.ppf(0.5 + CONFIDENCE / 2, prompts - 1))
    centre = (value + t**2 / (2 * independent)) / (1 + t**2 / independent)
    half = t / (1 + t**2 / independent) * sqrt(value * (1 - value) / independent + t**2 / (4 * independent**2))
    # Rounding may leave a value of 0 or 1 outside by its last bit.
    return Share(value, error, min(value, centre - half), max(value, centre + half))


def difference(credit_B: np.ndarray, other_B: np.ndarray, prompt_ids: Sequence[str]) -> Share | None:
    """By how much the first judge is right more often than the second on the same pairs, with Student's t interval over
    prompts; None of no pair."""
    if not len(credit_B):
        return None
    values_B = credit_B - other_B
    value = float(values_B.mean())
    error, prompts = clustered_error(values_B, prompt_ids)
    if error is None:
        return Share(value, None, None, None)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, prompts - 1)) * error
    return Share(value, error, value - half, value + half)


def lengths(pairs: Sequence[Preference]) -> Scores:
    """The score of the rule "the longer one": characters of the chosen and of the rejected completions."""
    return [len(p.chosen.text) for p in pairs], [len(p.rejected.text) for p in pairs]


def judged(kind: str, parts: dict[str, list[Preference]], scores: Callable[[list[Preference]], Scores]) -> dict:
    """A JSON-able row about one judge: its accuracy, standard error and interval on each part that has pairs, and how much
    more often than the longer one it is right on the held-out pairs."""
    row: dict = {"kind": kind, "accuracy": {}, "error": {}, "interval": {}, "pairs_measured": {}}
    for name, part in parts.items():
        if not part:
            continue
        credit_B, prompt_ids = credit(*scores(part)), [pair.prompt.id for pair in part]
        found = share(credit_B, prompt_ids)
        assert found is not None
        row["accuracy"][name], row["error"][name] = found.value, found.error
        row["interval"][name] = [found.low, found.high]
        row["pairs_measured"][name] = len(part)
        if name == "heldout":
            against = difference(credit_B, credit(*lengths(part)), prompt_ids)
            assert against is not None
            row["over_longer"] = {"value": against.value, "low": against.low, "high": against.high}
            row["heldout_prompts"] = len(set(prompt_ids))
    return row
