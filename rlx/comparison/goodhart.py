"""Gold as a function of the distance d = sqrt(KL) from the start, and its peak (Gao, Schulman, Hilton 2022, arXiv 2210.10760).

Best-of-n: R(d) = d (a - b d). RL: R(d) = d (a - b log d). R is the gain over the start. Both are linear in (a, b).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["bon", "rl"]
MIN_DISTANCE = {"bon": 0.0, "rl": 0.3}  # log d is singular at 0: points near the start would decide the fit


@dataclass(frozen=True)
class Fit:
    """`num` points up to distance `furthest` (sqrt of nats) went in; `error` is the weighted root
    mean square residual."""

    kind: Kind
    a: float
    b: float
    num: int
    furthest: float
    error: float

    def __call__(self, d: np.ndarray) -> np.ndarray:
        """R(d), 0 at the start."""
        return gain(self.kind, np.asarray(d, dtype=np.float64), self.a, self.b)

    @property
    def peak(self) -> tuple[float, float] | None:
        """(d*, R*): where gold is highest; None where the curve bends upwards or falls from the start."""
        return peak(self.kind, self.a, self.b)


def gain(kind: Kind, d: np.ndarray, a: float, b: float) -> np.ndarray:
    """R(d) of both forms; d log d is 0 at d = 0."""
    if kind == "bon":
        return d * (a - b * d)
    return d * a - b * d * np.log(np.where(d > 0, d, 1.0))


def peak(kind: Kind, a: float, b: float) -> tuple[float, float] | None:
    """Best-of-n: d* = a / 2b, R* = a^2 / 4b. RL: d* = exp(a/b - 1), R* = b d*. None unless R has a highest point at d > 0."""
    if b <= 0 or (kind == "bon" and a <= 0):
        return None
    if kind == "bon":
        return a / (2 * b), a * a / (4 * b)
    if a / b > 50:  # further than anybody goes, and soon an overflow
        return None
    furthest = math.exp(a / b - 1)
    return furthest, b * furthest


def fit(kind: Kind, d_S: np.ndarray, gold_S: np.ndarray, weight_S: np.ndarray) -> Fit | None:
    """Least squares in (a, b), squares weighted by `weight_S`, on the points with d > 0 (RL: d >= 0.3). None for fewer
    than three points, or where they stand at fewer than three distances: two numbers would go through anything."""
    d, gold = np.asarray(d_S, dtype=np.float64), np.asarray(gold_S, dtype=np.float64)
    keep = np.isfinite(d) & np.isfinite(gold) & (d > 0) & (d >= MIN_DISTANCE[kind])
    d, gold, weight = d[keep], gold[keep], np.asarray(weight_S, dtype=np.float64)[keep]
    if len(np.unique(d)) < 3:
        return None
    columns = np.stack([d, -d * d if kind == "bon" else -d * np.log(d)], axis=1)
    root = np.sqrt(weight)
    (a, b), *_ = np.linalg.lstsq(columns * root[:, None], gold * root, rcond=None)
    residual = gold - columns @ np.array([a, b])
    return Fit(
        kind, float(a), float(b), len(d), float(d.max()), float(np.sqrt(np.average(residual**2, weights=weight)))
    )
