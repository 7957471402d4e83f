"""Uncertainty-weighted optimisation: the mean of the members less a multiple of the variance between them."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor

from rlx.core.numbers import NonNegative, PositiveInt
from rlx.core.paper import Paper
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.reward._ensemble import COSTE, load_ensemble


def ensemble_uwo(scores_MB: Tensor, coefficient: float, ddof: int) -> Tensor:
    """R_uwo = mean_i R_i - coefficient * sum_i (R_i - mean)^2 / (M - ddof), shape (B,).

    Coste et al., arXiv 2310.02743, eq. 5, is ddof 0; the authors' PPO code divides by M - 1 (ddof 1), which penalises
    M/(M-1) times as much. A coefficient of 0 is the mean.
    """
    return scores_MB.mean(0) - coefficient * scores_MB.var(0, correction=ddof)


@dataclass(frozen=True)
class EnsembleUWO:
    title: ClassVar[str] = "the mean of {num_members} reward models less their disagreement (UWO)"
    papers: ClassVar[tuple[Paper, ...]] = (COSTE,)

    num_members: PositiveInt
    coefficient: NonNegative
    ddof: Literal[0, 1]

    scores_each_member: ClassVar[bool] = True

    @property
    def members(self) -> range:
        return range(self.num_members)

    def scorer(self, sources: Sources) -> Scorer:
        aggregate = partial(ensemble_uwo, coefficient=self.coefficient, ddof=self.ddof)
        return load_ensemble(sources, aggregate)
