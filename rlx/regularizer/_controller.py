"""The adaptive coefficient of Ziegler et al. 2019 (arXiv 1909.08593, section 2.2): steer the divergence to a target."""


def adapted_beta(beta: float, divergence: float, target: float | None, horizon: float, num_completions: int) -> float:
    """beta * (1 + clip(divergence / target - 1, -0.2, 0.2) * num_completions / horizon); unchanged without a target."""
    if target is None:
        return beta
    error = min(max(divergence / target - 1.0, -0.2), 0.2)
    return beta * (1.0 + error * num_completions / horizon)
