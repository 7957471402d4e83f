"""Three models of a table: linear, additive (GAM), and a network whose importance of factors can be held to a reference.

The network's loss is L = mean (y - f(x))^2 + weight KL(p_ref || p_f) (arXiv 2402.12398, reconstructed): y in standard
deviations, p_f the shares of the mean absolute attributions of the training rows. Attributions in the loss are those of
`first_and_last`, which is exact for interactions of two groups and takes 2 G + 2 evaluations; a group that is taken away has
its mean.

The penalty begins after a part of the training. Importance has no sign: a factor that the random start holds with the wrong
sign would have to pass through no importance to mend it, where the divergence is largest, and would stay wrong.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from torch import Tensor, nn

from rlx.attribution.importance import divergence, importance, shares
from rlx.attribution.shapley import first_and_last, game
from rlx.process.device import random_state_kept
from rlx.tabular.settings import MlpSettings
from rlx.tabular.table import Part

Model = Callable[[Tensor], Tensor]  # rows (B, F) in float64 -> predictions (B,)
STRENGTHS = np.logspace(-2, 4, 13)  # of the ridge penalty; leave-one-out chooses
NUM_KNOTS = 5  # of each factor's cubic spline
EPS = 1e-3  # added to every share
MAX_ROWS = 1000  # training rows that a penalty attributes, for time; rows are in random order


def linear(part: Part) -> Model:
    """Ridge regression (scikit-learn)."""
    fitted = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS)).fit(part.x_BF, part.y_B)
    return lambda x_BF: torch.from_numpy(fitted.predict(x_BF.numpy()))


def gam(part: Part) -> Model:
    """A generalised additive model: ridge regression on cubic splines of each factor (scikit-learn), without interactions.
    Beyond the training range a spline goes on as a straight line."""
    splines = SplineTransformer(n_knots=NUM_KNOTS, knots="quantile", extrapolation="linear", include_bias=False)
    fitted = make_pipeline(StandardScaler(), splines, StandardScaler(), RidgeCV(STRENGTHS)).fit(part.x_BF, part.y_B)
    return lambda x_BF: torch.from_numpy(fitted.predict(x_BF.numpy()))


def mlp(
    part: Part,
    numbers: MlpSettings,
    groups: Sequence[Sequence[int]],
    reference_G: Sequence[float] | None,
    weight: float,
    seed: int,
) -> Model:
    """The network, trained on all rows at once by AdamW. Without a reference, or with weight 0, there is no penalty and no
    attribution is computed."""
    x_BF, y_B = torch.from_numpy(part.x_BF), torch.from_numpy(part.y_B)
    mean_F, sd_F = x_BF.mean(0), x_BF.std(0, correction=0)
    sd_F = torch.where(sd_F > 0, sd_F, 1.0)  # a factor may not vary within the training part
    mean, sd = y_B.mean(), y_B.std(correction=0)
    z_BF, wanted_B = (x_BF - mean_F) / sd_F, (y_B - mean) / sd
    penalty = None
    if reference_G is not None and weight > 0:
        reference = torch.tensor(reference_G, dtype=torch.float64)
        penalty = Penalty(z_BF[:MAX_ROWS], groups, shares(reference, EPS))
    with random_state_kept():
        torch.manual_seed(seed % 2**31)
        sizes = [x_BF.shape[1], *[numbers.hidden_size] * numbers.num_layers]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.Tanh())]
        network = nn.Sequential(*layers, nn.Linear(sizes[-1], 1)).double()
    optimizer = torch.optim.AdamW(network.parameters(), numbers.learning_rate, weight_decay=numbers.weight_decay)

    def standardised(rows_BF: Tensor) -> Tensor:
        return network(rows_BF).squeeze(-1)

    for epoch in range(numbers.num_epochs):
        optimizer.zero_grad()
        loss = (standardised(z_BF) - wanted_B).square().mean()
        if penalty is not None and epoch >= numbers.penalty_from * numbers.num_epochs:
            loss = loss + weight * penalty(standardised)
        loss.backward()
        optimizer.step()
    return lambda rows_BF: mean + sd * standardised((rows_BF - mean_F) / sd_F).detach()


class Penalty:
    """KL(p_ref || p_f) of a score on fixed rows, in nats; differentiable in the score's parameters."""

    def __init__(self, z_BF: Tensor, groups: Sequence[Sequence[int]], reference_G: Tensor) -> None:
        self.z_BF, self.groups, self.reference_G = z_BF, groups, reference_G
        self.plan = first_and_last(len(groups))

    def __call__(self, score: Model) -> Tensor:
        values = game(score, self.z_BF, torch.zeros_like(self.z_BF[0]), self.groups)
        found_G = importance(self.plan.phi(values(self.plan.kept_SG)))
        return divergence(self.reference_G, shares(found_G, EPS))
