"""Bilevel problems whose answers are known in closed form."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlx.bilevel.problem import Projection, everywhere


@dataclass(frozen=True)
class Quadratic:
    """g = |y - Bx|^2 / 2 and f = |y - c|^2 / 2, and on a sample xi of SD 1 `noise` (1 + x_0) y . xi more in g.

    Y*(x) = {Bx}, so psi = |Bx - c|^2 / 2. y_sigma = (Bx + sigma c) / (1 + sigma), so psi_sigma = psi / (1 + sigma).
    """

    map_YX: Tensor
    target_Y: Tensor
    noise: float = 0.0
    project_x: Projection = everywhere
    project_y: Projection = everywhere

    def upper(self, x, y, sample):
        return (y - self.target_Y).square().sum() / 2

    def lower(self, x, y, sample):
        noise = 0.0 if sample is None else self.noise * (1 + x[0]) * (y @ sample)
        return (y - self.map_YX @ x).square().sum() / 2 + noise

    def draw(self, generator):
        return torch.randn(len(self.target_Y), dtype=torch.float64, generator=generator) if self.noise else None

    def psi(self, x):
        return (self.map_YX @ x - self.target_Y).square().sum() / 2

    def psi_gradient(self, x):
        return self.map_YX.T @ (self.map_YX @ x - self.target_Y)

    def lower_solution(self, x):
        return self.project_y(self.map_YX @ x)

    def penalised_solution(self, x, sigma):
        """Also with a box, as the coordinates of y do not meet."""
        return self.project_y((self.map_YX @ x + sigma * self.target_Y) / (1 + sigma))


def quadratic(seed: int = 0, **changes) -> Quadratic:
    g = torch.Generator().manual_seed(seed)
    map_YX, target_Y = (torch.randn(*n, dtype=torch.float64, generator=g) for n in ((3, 2), (3,)))
    return Quadratic(map_YX, target_Y, **changes)


@dataclass(frozen=True)
class Alone:
    """Two functions of y; x does not occur."""

    f: Callable[[Tensor], Tensor]
    g: Callable[[Tensor], Tensor]
    project_x: Projection = everywhere
    project_y: Projection = everywhere

    def upper(self, x, y, sample):
        return self.f(y).sum()

    def lower(self, x, y, sample):
        return self.g(y).sum()

    def draw(self, generator):
        return None
