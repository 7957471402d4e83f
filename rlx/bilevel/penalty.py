"""The penalty form of a bilevel problem and its first-order gradient (Kwon and others 2023, arXiv 2309.01753).

h_sigma(x, y) = sigma f(x, y) + g(x, y) and l(x, sigma) = min over y in Y of h_sigma(x, y). The penalised objective is

    psi_sigma(x) = (l(x, sigma) - l(x, 0)) / sigma = min over y in Y of f(x, y) + (g(x, y) - min_z g(x, z)) / sigma,

which lies below psi(x) and rises to it as sigma falls to 0. By Danskin's theorem its gradient needs no second derivative.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlx.bilevel.problem import Bilevel, Projection, Sample

Schedule = Callable[[int], float]  # the value at outer step k = 0, 1, ...


def penalised(problem: Bilevel, x: Tensor, y: Tensor, sigma: float, sample: Sample = None) -> Tensor:
    """Return h_sigma(x, y) = sigma f(x, y) + g(x, y), a scalar."""
    return sigma * problem.upper(x, y, sample) + problem.lower(x, y, sample)


def psi(problem: Bilevel, x: Tensor, y: Tensor, z: Tensor, sigma: float, sample: Sample = None) -> Tensor:
    """Return f(x, y) + (g(x, y) - g(x, z)) / sigma, a scalar, which is psi_sigma(x) where y minimises h_sigma(x, .) and z
    minimises g(x, .)."""
    return problem.upper(x, y, sample) + (problem.lower(x, y, sample) - problem.lower(x, z, sample)) / sigma


def psi_gradient(problem: Bilevel, x: Tensor, y: Tensor, z: Tensor, sigma: float, sample: Sample = None) -> Tensor:
    """Return grad_x f(x, y) + (grad_x g(x, y) - grad_x g(x, z)) / sigma, in the shape of x: grad psi_sigma(x) at the
    minimisers y and z. Both terms of the difference take one `sample`, whose noise cancels where y is near z."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        return _gradient(psi(problem, at, y.detach(), z.detach(), sigma, sample), at)


def lower_gradients(
    problem: Bilevel, x: Tensor, y: Tensor, z: Tensor, sigma: float, sample: Sample = None
) -> tuple[Tensor, Tensor]:
    """Return grad_y h_sigma(x, y) and grad_z g(x, z), in the shape of y, on one `sample`."""
    with torch.enable_grad():
        fixed, at_y, at_z = x.detach(), y.detach().requires_grad_(), z.detach().requires_grad_()
        of_y = _gradient(penalised(problem, fixed, at_y, sigma, sample), at_y)
        return of_y, _gradient(problem.lower(fixed, at_z, sample), at_z)


def proximal(gradient: Tensor, y: Tensor, centre: Tensor, rho: float | None) -> Tensor:
    """Return the gradient of h(y) + |y - centre|^2 / (2 rho), given that of h: the inner problem of the paper's form for
    a nonconvex lower level, whose solution is prox_{rho h}(centre). rho None: h alone."""
    return gradient if rho is None else gradient + (y - centre) / rho


def residual(gradient: Tensor, y: Tensor, project: Projection, step: float) -> float:
    """Return |y - Pi(y - step * gradient)| / step, which is 0 at a stationary point of the constrained problem alone; the
    norm of the gradient inside the set."""
    return float((y - project(y - step * gradient)).norm()) / step


def constant(value: float) -> Schedule:
    """Return the schedule that is always `value`."""
    return lambda k: value


def power(first: float, exponent: float) -> Schedule:
    """Return first * (k + 1)^-exponent."""
    return lambda k: first * (k + 1) ** -exponent


def falling(first: float, last: float, num_steps: int) -> Schedule:
    """Return the sigma that goes from `first` to `last` as 1 / (1 + c k): 1 / sigma, the penalty's weight, grows evenly.

    Ours, as the paper only asks for sigma in proportion to the accuracy. A sigma that is small too early makes y and z
    one point, and the gradient of x noise.
    """
    growth = (first / last - 1) / max(1, num_steps - 1)
    return lambda k: first / (1 + growth * k)


def _gradient(value: Tensor, at: Tensor) -> Tensor:
    if not value.requires_grad:  # a loss in which the variable does not occur; gradients are on here, whoever calls
        return torch.zeros_like(at)
    (found,) = torch.autograd.grad(value, at, allow_unused=True, materialize_grads=True)
    return found
