"""Additive attribution to groups of factors: exact Shapley values, and a cheaper estimate that a loss can afford.

Reconstructed from the abstract of arXiv 2402.12398, which speaks of additive factor attributions and of their consistency
among models. The abstract names neither the attribution nor its baseline; Shapley values are chosen here because they are
additive for any model. A *coalition* is a set of groups that stay; the others are taken away.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor

MAX_GROUPS = 12  # 2^12 coalitions of every row


class Attribution(NamedTuple):
    """The coalitions to evaluate and how their values become one number per group.

    `kept_SG`: bool, which groups coalition s keeps; the first keeps none and the last keeps all. `weights_GS`: float64.
    """

    kept_SG: Tensor
    weights_GS: Tensor

    def phi(self, values_SB: Tensor) -> Tensor:
        """Return the attributions (B, G) of the values v(S) that coalitions (S, B) have; differentiable."""
        return (self.weights_GS.to(values_SB) @ values_SB).T


@cache
def shapley(num_groups: int) -> Attribution:
    """phi_g = sum over S without g of |S|! (G - |S| - 1)! / G! (v(S + g) - v(S)) (Shapley 1953), by all 2^G coalitions.

    Efficiency: sum_g phi_g = v(all) - v(none), to rounding. Raises ValueError above MAX_GROUPS groups.
    """
    if not 1 <= num_groups <= MAX_GROUPS:
        raise ValueError(f"exact Shapley values take 1 to {MAX_GROUPS} groups, not {num_groups}")
    codes_S = torch.arange(2**num_groups)
    kept_SG = (codes_S[:, None] >> torch.arange(num_groups)) % 2 == 1
    sizes_S = kept_SG.sum(1).tolist()
    # |S|! (G - |S| - 1)! / G! = 1 / (G binom(G - 1, |S|)); with g in the coalition, |S| counts the others.
    weight = [1 / (num_groups * comb(num_groups - 1, others)) for others in range(num_groups)]
    gain_S = torch.tensor([weight[max(n - 1, 0)] for n in sizes_S], dtype=torch.float64)
    loss_S = torch.tensor([weight[min(n, num_groups - 1)] for n in sizes_S], dtype=torch.float64)
    return Attribution(kept_SG, torch.where(kept_SG.T, gain_S, -loss_S))


@cache
def first_and_last(num_groups: int) -> Attribution:
    """phi_g = ((v(g) - v(none)) + (v(all) - v(all but g))) / 2, by 2 G + 2 coalitions.

    A group's mean gain when it comes first and when it comes last. It is the Shapley value of every game whose interactions
    are between two groups at most: v = sum_g a_g + sum_gh b_gh has phi_g = a_g + sum_h b_gh / 2 either way. It draws no
    permutation, so it has no noise that would make small attributions look large.
    """
    if num_groups == 1:
        return shapley(1)
    one_GG = torch.eye(num_groups, dtype=torch.bool)
    none_1G = torch.zeros(1, num_groups, dtype=torch.bool)
    weights_GS = torch.zeros(num_groups, 2 * num_groups + 2, dtype=torch.float64)
    weights_GS[:, 0], weights_GS[:, -1] = -0.5, 0.5
    weights_GS[:, 1 : num_groups + 1] += one_GG / 2
    weights_GS[:, num_groups + 1 : -1] -= one_GG / 2
    return Attribution(torch.cat([none_1G, one_GG, ~one_GG, ~none_1G]), weights_GS)


def game(score: Callable[[Tensor], Tensor], x_BF: Tensor, baseline_F: Tensor, groups: Sequence[Sequence[int]]):
    """Return v(S), a function of coalitions (S, G) with values (S, B): `score` of rows in which the columns of groups that
    are taken away have the baseline's value. `groups`: the columns of each group; a column of none keeps its value."""
    member_GF = torch.zeros(len(groups), x_BF.shape[1], dtype=torch.bool)
    for g, columns in enumerate(groups):
        member_GF[g, list(columns)] = True

    def values(kept_SG: Tensor) -> Tensor:
        gone_SF = (~kept_SG).double() @ member_GF.double() > 0
        rows_SBF = torch.where(gone_SF[:, None].to(x_BF.device), baseline_F, x_BF)
        return score(rows_SBF.flatten(0, 1)).view(len(kept_SG), len(x_BF))

    return values
