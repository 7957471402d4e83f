"""Algorithm 1: inner loops for y and z, then a step of x along the penalty's gradient (arXiv 2309.01753).

The paper's: projected steps for y on h_sigma and for z on g, both started where they were, with a proximal term where the
lower level is not convex; then a projected step of x by Danskin's gradient, on a batch of its own. Its constants are not
known to us, so the schedules of steps and sigma, and the numbers of inner steps and samples, are arguments here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlx.bilevel.penalty import Schedule, lower_gradients, proximal, psi_gradient
from rlx.bilevel.problem import Bilevel


@dataclass(frozen=True)
class Iterate:
    """The outer step k, the point, and the last direction of x (in the shape of x, zeros at the start)."""

    step: int
    x: Tensor
    y: Tensor
    z: Tensor
    direction: Tensor


Watch = Callable[[Iterate], None]


@dataclass(frozen=True)
class DoubleLoop:
    num_steps: int  # K, outer
    num_inner: int  # T, of y and z before each step of x
    num_samples: int  # M, whose mean is the gradient of x
    step_x: Schedule  # alpha_k
    step_y: Schedule  # gamma_k, of y and z alike
    sigma: Schedule
    rho: float | None  # of the proximal term; None where the lower level is convex


def double_loop(
    problem: Bilevel,
    x: Tensor,
    y: Tensor,
    numbers: DoubleLoop,
    generator: torch.Generator,
    watch: Watch = lambda iterate: None,
) -> Iterate:
    """Return the last iterate from x and from y = z. `watch` is called after every outer step."""
    x, y = problem.project_x(x.detach()), problem.project_y(y.detach())
    found = Iterate(0, x, y, y, torch.zeros_like(x))
    for k in range(numbers.num_steps):
        sigma = numbers.sigma(k)
        y, z = _inner(problem, found, numbers, generator)
        gradients = [
            psi_gradient(problem, found.x, y, z, sigma, problem.draw(generator)) for _ in range(numbers.num_samples)
        ]
        direction = torch.stack(gradients).mean(0)
        x = problem.project_x(found.x - numbers.step_x(k) * direction)
        found = Iterate(k + 1, x, y, z, direction)
        watch(found)
    return found


def _inner(problem: Bilevel, start: Iterate, numbers: DoubleLoop, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """T projected steps of y and z, on the same samples."""
    y, z = start.y, start.z
    sigma, step = numbers.sigma(start.step), numbers.step_y(start.step)
    for _ in range(numbers.num_inner):
        of_y, of_z = lower_gradients(problem, start.x, y, z, sigma, problem.draw(generator))
        y = problem.project_y(y - step * proximal(of_y, y, start.y, numbers.rho))
        z = problem.project_y(z - step * proximal(of_z, z, start.z, numbers.rho))
    return y, z
