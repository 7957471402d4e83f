"""How well weights tell flipped labels from right ones, beside the class prior and other rankings.

A right label is the positive class, as in the literature on hyper-cleaning: precision counts against the pairs that are
kept, recall against the pairs with right labels.
"""

from typing import Any

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

POINTS = 41  # of a curve in JSON


def ranking(trust_B: np.ndarray, flipped_B: np.ndarray) -> dict[str, Any]:
    """Return `auc`, the probability that a right label is trusted more than a flipped one, `roc` (shares of flipped and of
    right labels kept, as the threshold falls), and `f1_at_count` of keeping as many pairs as there are right labels."""
    right_B = ~flipped_B
    false_P, true_P, _ = roc_curve(right_B, trust_B)
    grid = np.linspace(0, 1, POINTS)
    kept_B = np.zeros(len(trust_B), dtype=bool)
    kept_B[np.argsort(-trust_B, kind="stable")[: right_B.sum()]] = True
    return {
        "auc": float(roc_auc_score(right_B, trust_B)),
        "roc": [grid.tolist(), np.interp(grid, false_P, true_P).tolist()],
        "f1_at_count": float(f1_score(right_B, kept_B)),
    }


def f1_of_kept(weight_B: np.ndarray, flipped_B: np.ndarray) -> float:
    """Return F1 of the rule that a label is right where its weight is 1/2 or more."""
    return float(f1_score(~flipped_B, weight_B >= 0.5))


def prior_f1(flipped_B: np.ndarray) -> float:
    """Return F1 of trusting every label: 2 (1 - p) / (2 - p) with a share p of flipped ones."""
    share = float(flipped_B.mean())
    return 2 * (1 - share) / (2 - share)


def histogram(weight_B: np.ndarray, flipped_B: np.ndarray, bins: int = 20) -> dict[str, list[float]]:
    """Return the edges of equal bins of [0, 1] and how many right and flipped labels have a weight in each."""
    edges = np.linspace(0, 1, bins + 1)
    counts = {
        name: np.histogram(weight_B[of], edges)[0].tolist()
        for name, of in (("right", ~flipped_B), ("flipped", flipped_B))
    }
    return {"edges": edges.tolist(), **counts}
