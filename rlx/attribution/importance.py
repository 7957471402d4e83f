"""What a model finds important: the distribution of importance over groups of factors, and how models agree on it.

Reconstructed from the abstract of arXiv 2402.12398 (factor importance, primary and secondary factors, a penalty on their
difference). Chosen here, because the abstract does not say: importance is the mean absolute attribution, the distribution is
its share (not a softmax, which would depend on the score's unit), and the penalty is KL(reference || model), which grows
where a model neglects a factor that the reference holds important.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def importance(phi_BG: Tensor) -> Tensor:
    """I_g = mean_b |phi_bg|, (G,), in the score's unit."""
    return phi_BG.abs().mean(0)


def shares(importance_G: Tensor, eps: float) -> Tensor:
    """p_g = (I_g / sum_h I_h + eps) / (1 + G eps), (G,): sums to 1, positive, the same for c I with any c > 0.

    eps is added after the first division, so that it does not depend on the score's unit. Uniform where all I are 0.
    """
    total = importance_G.sum()
    num = len(importance_G)
    tiny = torch.finfo(importance_G.dtype).tiny
    raw_G = importance_G / total if total > tiny else torch.full_like(importance_G, 1 / num)
    return (raw_G + eps) / (1 + num * eps)


def divergence(reference_G: Tensor, model_G: Tensor) -> Tensor:
    """KL(reference || model) = sum_g r_g log(r_g / p_g) in nats; 0 where the two are equal and only there.

    Both are distributions with positive entries, as `shares` makes them.
    """
    return (reference_G * (reference_G / model_G).log()).sum()


def primary(share_G: Sequence[float], mass: float) -> list[int]:
    """The fewest groups, the largest share first, that together hold `mass` of the importance; the others are secondary.

    Of equal shares the earlier group comes first.
    """
    order = sorted(range(len(share_G)), key=lambda g: -share_G[g])
    held = np.cumsum([share_G[g] for g in order]) / sum(share_G)
    return order[: int(np.searchsorted(held, mass - 1e-12)) + 1]


def in_reverse(share_G: Sequence[float]) -> list[float]:
    """The same shares in the opposite order of size, the largest for the least important group: a wrong reference that is
    no more uneven than the right one."""
    order = sorted(range(len(share_G)), key=lambda g: share_G[g])
    found = [0.0] * len(order)
    for g, other in zip(order, reversed(order), strict=True):
        found[g] = share_G[other]
    return found


def tau(first_G: Sequence[float], second_G: Sequence[float]) -> float | None:
    """Kendall's tau-b between two orders of importance; None where one of them holds all groups equal."""
    found = float(stats.kendalltau(first_G, second_G).statistic)  # pyright: ignore[reportAttributeAccessIssue]
    return None if np.isnan(found) else found


def mean_tau(shares_MG: Sequence[Sequence[float]]) -> float | None:
    """The mean of Kendall's tau over all pairs of models; None for fewer than two."""
    found = [value for a, b in combinations(shares_MG, 2) if (value := tau(a, b)) is not None]
    return sum(found) / len(found) if found else None


def mean_divergence(shares_MG: Sequence[Sequence[float]]) -> float:
    """The mean over models of KL(mean of the models || model) in nats: how far apart the models are, 0 if they agree."""
    models_MG = torch.tensor(shares_MG, dtype=torch.float64)
    return float(torch.stack([divergence(models_MG.mean(0), one_G) for one_G in models_MG]).mean())


def ordered_alike(first_SB: Tensor, second_SB: Tensor, first_G: Tensor, slack: float) -> list[tuple[int, int]]:
    """The pairs (g, h), g before h, whose order the second model must share with the first: the consistency property.

    If |v_A(S) - v_B(S) - c| <= e for all coalitions and rows and one constant c, then |phi_A - phi_B| <= 2 e, because a
    Shapley value is an average of differences of two values; so |I_A - I_B| <= 2 e, and I_A(g) - I_A(h) > 4 e implies
    I_B(g) > I_B(h). `first_SB`, `second_SB`: values of all coalitions; `first_G`: importance in model A; `slack` is added
    to 4 e, for rounding. Equal predictions on whole rows alone imply nothing: e is over all coalitions.
    """
    gaps_SB = first_SB - second_SB
    e = float(gaps_SB.max() - gaps_SB.min()) / 2
    pairs = [(g, h) for g in range(len(first_G)) for h in range(len(first_G))]
    return [(g, h) for g, h in pairs if float(first_G[g] - first_G[h]) > 4 * e + slack]


def share_errors(phi_BG: np.ndarray, clusters_B: Sequence[str]) -> np.ndarray:
    """The standard errors (G,) of the shares mean|phi_g| / sum_h mean|phi_h|, by the jackknife over clusters of rows (texts
    on one prompt are not independent); NaN for fewer than two clusters."""
    _, places_B = np.unique(np.asarray(clusters_B), return_inverse=True)
    num = int(places_B.max()) + 1
    if num < 2:
        return np.full(phi_BG.shape[1], np.nan)
    sums_CG = np.stack([np.bincount(places_B, column, num) for column in np.abs(phi_BG).T], axis=1)
    without_CG = sums_CG.sum(0) - sums_CG
    totals_C1 = without_CG.sum(1, keepdims=True)
    left_CG = np.divide(without_CG, totals_C1, out=np.full_like(without_CG, 1 / phi_BG.shape[1]), where=totals_C1 > 0)
    return np.sqrt((num - 1) / num * np.square(left_CG - left_CG.mean(0)).sum(0))
