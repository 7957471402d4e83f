"""A claim's runs become one difference per data seed, at the same settings or at the same strength, and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rlx.comparison.measure import MEASURES
from rlx.comparison.verdict import Verdict, verdict
from rlx.core.claim import Claim, Need
from rlx.metric.interval import mean_interval
from rlx.run.record import RunRecord

GRID = 101  # points of the common range that a matched difference is averaged over

Runs = Mapping[
    str, Mapping[int, Sequence[RunRecord]]
]  # arm -> data seed -> its runs that are done, one per value of match.key


@dataclass(frozen=True)
class Unit:
    """One data seed: the measure of both arms, and their difference."""

    seed: int
    first: float
    second: float
    difference: float
    low: float | None = None  # of the range in which both arms are known, along the strength that was matched
    high: float | None = None


@dataclass(frozen=True)
class NeedFound:
    """Whether what a claim needs is there: `value` with its interval over data seeds (None for one)."""

    need: Need
    value: float
    low: float | None
    high: float | None
    met: bool


@dataclass(frozen=True)
class Points:
    """The runs of one arm and data seed: the strength of each, and the measure. Ascending in strength."""

    strength_P: np.ndarray
    measure_P: np.ndarray


@dataclass(frozen=True)
class Finding:
    """`lacking`: a line for each data seed that could not be compared, and why."""

    verdict: Verdict
    units: list[Unit]
    lacking: list[str]
    needs: list[NeedFound]
    points: dict[str, dict[int, Points]] = field(default_factory=dict)  # of a matched claim


def judge(claim: Claim, runs: Runs, seeds: Sequence[int]) -> Finding:
    """What the finished `runs` of `claim` say on the data seeds `seeds`. A claim whose needs are not met is not testable."""
    matched = claim.match is not None
    points = {arm: _points(claim, runs.get(arm, {}), seeds) for arm in claim.contrast} if matched else {}
    units, lacking = [], []
    for seed in seeds:
        found = _at_same_strength(claim, points, seed) if matched else _as_they_are(claim, runs, seed)
        if isinstance(found, str):
            lacking.append(f"data seed {seed}: {found}")
        else:
            units.append(found)
    needs = [need for one in claim.needs if (need := _need(one, runs, seeds)) is not None]
    judged = verdict(np.array([unit.difference for unit in units]), claim.expect, claim.smallest_effect)
    if missing := [need for need in needs if not need.met]:
        judged = Verdict(**{**vars(judged), "word": "not testable here", "why": missing[0].need.why})
    return Finding(judged, units, lacking, needs, points)


def matched_difference(first: Points, second: Points) -> tuple[float, float, float, float] | None:
    """(mean of the first, mean of the second, low, high): both interpolated linearly along their strength and averaged over
    the range [low, high] that both cover. None where they have no range in common."""
    low = max(first.strength_P[0], second.strength_P[0])
    high = min(first.strength_P[-1], second.strength_P[-1])
    if not low < high:
        return None
    grid_G = np.linspace(low, high, GRID)
    one, other = (float(np.trapezoid(np.interp(grid_G, p.strength_P, p.measure_P), grid_G)) for p in (first, second))
    return one / (high - low), other / (high - low), float(low), float(high)


def _value(claim_measure: str, record: RunRecord) -> float | None:
    value = MEASURES[claim_measure][1](record)
    return value if value is not None and np.isfinite(value) else None


def _as_they_are(claim: Claim, runs: Runs, seed: int) -> Unit | str:
    values = []
    for arm in claim.contrast:
        found = [_value(claim.measure, record) for record in runs.get(arm, {}).get(seed, [])]
        if not found or found[0] is None:
            return f"no finished run of {arm}" if not found else f"{arm} has no {MEASURES[claim.measure][0]}"
        values.append(found[0])
    return Unit(seed, values[0], values[1], values[0] - values[1])


def _at_same_strength(claim: Claim, points: Mapping[str, Mapping[int, Points]], seed: int) -> Unit | str:
    for arm in claim.contrast:
        if seed not in points[arm]:
            return f"fewer than two finished runs of {arm}"
    found = matched_difference(points[claim.contrast[0]][seed], points[claim.contrast[1]][seed])
    if found is None:
        ranges = "; ".join(
            f"{arm} {points[arm][seed].strength_P[0]:.2f} to {points[arm][seed].strength_P[-1]:.2f}"
            for arm in claim.contrast
        )
        return f"no strength that both arms reach ({ranges})"
    first, second, low, high = found
    return Unit(seed, first, second, first - second, low, high)


def _points(claim: Claim, runs: Mapping[int, Sequence[RunRecord]], seeds: Sequence[int]) -> dict[int, Points]:
    assert claim.match is not None
    along = claim.match.along
    found = {}
    for seed in seeds:
        pairs = []
        for record in runs.get(seed, []):
            strength, value = _value(along, record), _value(claim.measure, record)
            if strength is not None and value is not None:
                pairs.append((np.sqrt(max(strength, 0.0)) if along == "kl" else strength, value))
        if len(pairs) > 1:
            strength_P, measure_P = np.array(sorted(pairs)).T
            found[seed] = Points(strength_P, measure_P)
    return found


def _need(need: Need, runs: Runs, seeds: Sequence[int]) -> NeedFound | None:
    """None before the arm has a finished run. It is met where the mean reaches the least, whatever the interval."""
    values = [
        value
        for seed in seeds
        for record in runs.get(need.arm, {}).get(seed, [])[:1]
        if (value := _value(need.measure, record)) is not None
    ]
    if not values:
        return None
    low, high = mean_interval(np.array(values)) if len(values) > 1 else (None, None)
    return NeedFound(need, float(np.mean(values)), low, high, bool(np.mean(values) >= need.least))
