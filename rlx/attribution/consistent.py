"""Reward models that pay for a distribution of importance that departs from a reference (arXiv 2402.12398, reconstructed).

L = L_BT + weight KL(p_ref || p_model): p_model are the shares of the mean absolute attributions of some completions to
groups of factors, p_ref those of a reference. The paper is known by its abstract alone, which names neither the direction
of the KL, nor the weight, nor the reference; `rlx/attribution/importance.py` says what was chosen and why.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rlx.attribution.importance import divergence, importance, shares
from rlx.attribution.shapley import first_and_last
from rlx.core.numbers import Fraction, NonNegative, Positive, PositiveInt
from rlx.core.paper import Paper


def consistency_loss(values_SB: Tensor, reference_G: Tensor, eps: float) -> Tensor:
    """KL(p_ref || p_model) in nats of the values (S, B) that the coalitions of `first_and_last` have; differentiable.

    Values may be in any unit: shares of importance have none. `reference_G` sums to 1 and has no 0.
    """
    phi_BG = first_and_last(len(reference_G)).phi(values_SB)
    return divergence(reference_G, shares(importance(phi_BG), eps))


@dataclass(frozen=True)
class Consistent:
    """The settings of the penalty; `rlx/supervised/consistent_member.py` trains by them."""

    title: ClassVar[str] = "held to a reference importance of factors ({reference}, weight {weight})"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Primary and Secondary Factor Consistency as Domain Knowledge to Guide Happiness Computing in Online Assessment",
            "Wu, Xiaohua and others",
            2024,
            "2402.12398",
        ),
    )

    weight: NonNegative
    reference: Literal["members", "gold", "wrong", "given"]
    prior: tuple[NonNegative, ...] | None
    num_members: PositiveInt
    num_reference_texts: PositiveInt
    num_texts: PositiveInt
    begin: Fraction
    eps: Positive

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", None if self.prior is None else tuple(self.prior))

    def prior_shares(self) -> Tensor:
        """The given prior as shares (G,), in the order of the world's groups."""
        assert self.prior is not None
        return shares(torch.tensor(self.prior, dtype=torch.float64), self.eps)
