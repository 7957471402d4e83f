"""A run as a curve: gold and proxy over the distance from the start, for training along steps and for best-of-n along n."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlx.comparison.goodhart import Kind
from rlx.run.record import RunRecord


@dataclass(frozen=True)
class Curve:
    """S evaluations in the order of steps (or of n). Scores are gains over the start in its standard deviations; `distance`
    is sqrt(KL) from the start in root nats, or from the reference where the run did not measure the other."""

    kind: Kind
    steps_S: np.ndarray
    distance_S: np.ndarray
    gold_S: np.ndarray
    proxy_S: np.ndarray
    from_start: bool

    @property
    def fall(self) -> float:
        """How far gold ends below its highest evaluation: 0 where it is highest at the end."""
        return float(np.nanmax(self.gold_S) - self.gold_S[-1])


def curve_of(record: RunRecord) -> Curve | None:
    """The curve of a run, finished or not; None without two evaluations whose scores can be standardised."""
    kind: Kind = "bon" if record.bon else "rl"
    gold, proxy = (record.standardised_by_n(w) if record.bon else record.standardised(w) for w in ("gold", "proxy"))
    if gold is None or proxy is None:
        return None
    split = "bon" if record.bon else "heldout"
    for name in ("objective/sqrt_kl_start", "objective/sqrt_kl"):
        at = dict(zip(*(values.tolist() for values in record.series(split, name)), strict=True))
        steps = [step for step in gold.steps.tolist() if step in at and step in proxy.steps]
        if len(steps) > 1:
            kept = [
                np.array([dict(zip(s.steps.tolist(), s.values, strict=True))[x] for x in steps]) for s in (gold, proxy)
            ]
            distance = np.array([at[step] for step in steps])
            return Curve(kind, np.array(steps), distance, kept[0], kept[1], name.endswith("start"))
    return None


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Of several curves, at the steps that all of them have."""
    common = sorted(set.intersection(*(set(curve.steps_S.tolist()) for curve in curves)))
    at = [np.isin(curve.steps_S, common) for curve in curves]

    def mean(name: str) -> np.ndarray:
        return np.mean([getattr(curve, name)[keep] for curve, keep in zip(curves, at, strict=True)], axis=0)

    from_start = all(curve.from_start for curve in curves)
    return Curve(curves[0].kind, np.array(common), mean("distance_S"), mean("gold_S"), mean("proxy_S"), from_start)
