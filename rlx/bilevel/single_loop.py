"""Algorithm 2: x, y and z move together, one sample a step, along directions with recursive momentum (arXiv 2309.01753).

The paper's: v_k = G(w_k; xi) + (1 - eta_k) (v_{k-1} - G(w_{k-1}; xi)) for the gradients of all three, with the same sample
xi at both points (the form of STORM, Cutkosky and Orabona 2019, arXiv 1905.10018), and projected steps along v. The
schedules of steps, sigma and eta are arguments here, as the paper's constants are not known to us.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rlx.bilevel.double_loop import Iterate, Watch
from rlx.bilevel.penalty import Schedule, lower_gradients, psi_gradient
from rlx.bilevel.problem import Bilevel, Sample

Directions = tuple[Tensor, Tensor, Tensor]  # of x, y and z


@dataclass(frozen=True)
class SingleLoop:
    num_steps: int  # K
    step_x: Schedule  # alpha_k
    step_y: Schedule  # gamma_k, of y and z alike
    sigma: Schedule
    eta: Schedule  # 1 = no momentum: the plain gradient of each sample


def recursive_momentum(now: Tensor, before: Tensor, direction: Tensor, eta: float) -> Tensor:
    """Return now + (1 - eta) (direction - before): `now` and `before` are one sample's gradients at this point and at the
    last one, `direction` is the last direction. Its error is that of a mean over about 1 / eta samples."""
    return now + (1 - eta) * (direction - before)


def single_loop(
    problem: Bilevel,
    x: Tensor,
    y: Tensor,
    numbers: SingleLoop,
    generator: torch.Generator,
    watch: Watch = lambda iterate: None,
) -> Iterate:
    """Return the last iterate from x and from y = z. `watch` is called after every step."""
    x, y = problem.project_x(x.detach()), problem.project_y(y.detach())
    found = before = Iterate(0, x, y, y, torch.zeros_like(x))
    directions: Directions | None = None
    for k in range(numbers.num_steps):
        sigma, sample = numbers.sigma(k), problem.draw(generator)
        now = _gradients(problem, found, sigma, sample)
        if directions is None or (eta := numbers.eta(k)) == 1:
            directions = now
        else:
            # Both at this step's sigma: the difference is then of the points alone.
            past = _gradients(problem, before, sigma, sample)
            of_x, of_y, of_z = (recursive_momentum(*parts, eta) for parts in zip(now, past, directions, strict=True))
            directions = of_x, of_y, of_z
        of_x, of_y, of_z = directions
        before = found
        found = Iterate(
            k + 1,
            problem.project_x(found.x - numbers.step_x(k) * of_x),
            problem.project_y(found.y - numbers.step_y(k) * of_y),
            problem.project_y(found.z - numbers.step_y(k) * of_z),
            of_x,
        )
        watch(found)
    return found


def _gradients(problem: Bilevel, at: Iterate, sigma: float, sample: Sample) -> Directions:
    of_x = psi_gradient(problem, at.x, at.y, at.z, sigma, sample)
    return of_x, *lower_gradients(problem, at.x, at.y, at.z, sigma, sample)
