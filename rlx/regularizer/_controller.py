"""The adaptive coefficient of Ziegler et al. 2019 (arXiv 1909.08593, section 2.2): steer the divergence to a target."""

import math


def adapted_beta(beta: float, divergence: float, target: float | None, horizon: float, num_completions: int) -> float:
    """Return beta * exp(clip(divergence / target - 1, -0.2, 0.2) * num_completions / horizon); beta without a target.

    The paper writes 1 + x where this has exp(x): the same for small steps, and never negative for large ones.
    """
    if target is None:
        return beta
    error = min(max(divergence / target - 1.0, -0.2), 0.2)
    return beta * math.exp(error * num_completions / horizon)
