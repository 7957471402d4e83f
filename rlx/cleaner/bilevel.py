"""Preference hyper-cleaning: a weight per pair, learnt from trusted pairs as a bilevel problem (arXiv 2309.01753).

    upper   f(x, y) = (1/T) sum_t log(1 + exp(-y . d_t))                                    over the T trusted pairs
    lower   g(x, y) = (1/B) sum_b sigmoid(x_b) log(1 + exp(-y . d_b)) + l2/2 |y|^2          over the B training pairs

d are the features of the chosen less those of the rejected completion, y is a linear score on them, and the weights are
sigmoid(x_b). The weights that are learnt make the score that is fitted with them good on the trusted pairs. The solvers
are in `rlx/bilevel/`; constants marked "ours" are in no paper.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rlx.bilevel.double_loop import DoubleLoop, Iterate, Watch, double_loop
from rlx.bilevel.penalty import constant, falling
from rlx.bilevel.problem import box, everywhere
from rlx.bilevel.single_loop import SingleLoop, single_loop
from rlx.core.cleaner import Features, PairEvidence
from rlx.core.error import UserError
from rlx.core.numbers import Fraction, Positive, PositiveInt, Probability
from rlx.core.paper import Paper
from rlx.core.seed import seed_of
from rlx.model.probe import bradley_terry

BOUND = 8.0  # of |x|, ours: weights of 3e-4 and 1 - 3e-4, beyond which sigmoid has no slope to return by


def preference_loss(differences_BH: Tensor, y_H: Tensor) -> Tensor:
    """Return log(1 + exp(-y . d_b)) for every pair, (B,)."""
    return softplus(-(differences_BH @ y_H))


@dataclass(frozen=True)
class HyperCleaning:
    """The two levels above, as `rlx.bilevel.problem.Bilevel`. A sample is the indices of a minibatch of training pairs;
    the trusted pairs, which are few, are always taken whole."""

    differences_BH: Tensor
    trusted_TH: Tensor
    l2: float
    batch_size: int | None

    def upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return preference_loss(self.trusted_TH, y).mean()

    def lower(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        if sample is not None:
            weighted = torch.sigmoid(x[sample]) * preference_loss(self.differences_BH[sample], y)
        else:
            weighted = torch.sigmoid(x) * preference_loss(self.differences_BH, y)
        return weighted.mean() + self.l2 / 2 * y.square().sum()

    def project_x(self, x: Tensor) -> Tensor:
        return box(-BOUND, BOUND)(x)

    def project_y(self, y: Tensor) -> Tensor:
        return everywhere(y)

    def draw(self, generator: torch.Generator) -> Tensor | None:
        number = len(self.differences_BH)
        if self.batch_size is None or self.batch_size >= number:
            return None
        return torch.randint(number, (self.batch_size,), generator=generator)

    def smoothness(self) -> float:
        """Return a bound on the curvature of g, and of f: largest eigenvalue of the mean of d d^T, over 4, and l2. Both
        losses have second derivatives of at most 1/4."""
        parts = (self.differences_BH, self.trusted_TH)
        return max(float(torch.linalg.matrix_norm(part, 2) ** 2 / len(part)) for part in parts) / 4 + self.l2


@dataclass(frozen=True)
class Bilevel:
    title: ClassVar[str] = "cleaned by weights learnt from {num_trusted} trusted pairs"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "On Penalty Methods for Nonconvex Bilevel Optimization and First-Order Stochastic Approximation",
            "Kwon, Jeongyeol and others",
            2023,
            "2309.01753",
        ),
    )
    cleans: ClassVar[bool] = True

    num_trusted: PositiveInt
    features: Features
    l2: Positive
    loop: Literal["double", "single"]
    start: Literal["even", "small_loss"]
    num_steps: PositiveInt
    num_inner: PositiveInt
    batch_size: PositiveInt | None
    weight_step: Positive
    score_step: Probability
    first_sigma: Positive
    last_sigma: Positive
    momentum: Fraction

    def weights(self, evidence: PairEvidence, advance: Callable[[], None]) -> Tensor:
        """Return sigmoid(x) after `num_steps` steps of the solver. Raise UserError where a step leaves the numbers."""
        problem = HyperCleaning(evidence.differences_BH, evidence.trusted_TH, self.l2, self.batch_size)
        fitted_H = bradley_terry(evidence.differences_BH, self.l2)
        margins_B = evidence.differences_BH @ fitted_H
        # Ours: the margin is the log-odds that the label is right, as the score fitted to all labels sees it.
        x_B = margins_B if self.start == "small_loss" else torch.zeros_like(margins_B)
        generator = torch.Generator().manual_seed(seed_of("pair weights", evidence.seed))
        found = self._solve(problem, x_B, fitted_H, generator, lambda iterate: advance())
        if not found.x.isfinite().all():
            raise UserError(
                f"cleaner.weight_step={self.weight_step:g}: the weights became no numbers; lower it or cleaner.score_step"
            )
        return torch.sigmoid(found.x)

    def _solve(
        self, problem: HyperCleaning, x_B: Tensor, y_H: Tensor, generator: torch.Generator, watch: Watch
    ) -> Iterate:
        """The step of x is in proportion to B, as the gradient of one pair's x is to 1 / B. That of y and z is a share of
        the longest under which gradient descent on h_sigma is sure not to diverge."""
        step_x = constant(self.weight_step * len(x_B))
        step_y = constant(self.score_step / ((1 + self.first_sigma) * problem.smoothness()))
        sigma = falling(self.first_sigma, self.last_sigma, self.num_steps)
        if self.loop == "double":
            numbers = DoubleLoop(self.num_steps, self.num_inner, 1, step_x, step_y, sigma, rho=None)
            return double_loop(problem, x_B, y_H, numbers, generator, watch)
        eta = constant(1 - self.momentum)
        return single_loop(problem, x_B, y_H, SingleLoop(self.num_steps, step_x, step_y, sigma, eta), generator, watch)
