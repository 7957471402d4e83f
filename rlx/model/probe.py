"""A linear score on fixed features, fitted to preference pairs: Bradley-Terry by L-BFGS, with a weight for each pair."""

import torch
from torch import Tensor


def bradley_terry(differences_BH: Tensor, l2: float, weight_B: Tensor | None = None) -> Tensor:
    """Return argmin_y (1/B) sum_b w_b log(1 + exp(-y . d_b)) + l2/2 |y|^2 in float64, shape (H,): logistic regression
    without intercept on the features of chosen minus those of rejected. Convex with l2 > 0, so there is one answer and no
    seed. `weight_B` None: ones."""
    differences_BH = differences_BH.double()
    weight_H = torch.zeros(differences_BH.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight_H], max_iter=200, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses_B = torch.nn.functional.softplus(-(differences_BH @ weight_H))
        value = (losses_B if weight_B is None else weight_B * losses_B).mean() + l2 / 2 * weight_H.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return weight_H.detach()
