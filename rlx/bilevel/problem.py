"""Bilevel problems: min over x in X of psi(x), the least f(x, y) over y in argmin over Y of g(x, y).

X and Y are closed and convex, and stand here as their Euclidean projections. x and y are one tensor each; the parameters
of a network go in flattened.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

Projection = Callable[[Tensor], Tensor]
Sample = Any  # what one draw of the noise is: indices of a minibatch, say. None = no noise, all of the data


class Bilevel(Protocol):
    """Two smooth losses and two convex sets. A solver calls nothing else."""

    def upper(self, x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        """Return f(x, y), a scalar, or its estimate on `sample`."""
        ...

    def lower(self, x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        """Return g(x, y), a scalar, or its estimate on `sample`."""
        ...

    def project_x(self, x: Tensor) -> Tensor:
        """Return the point of X nearest to x."""
        ...

    def project_y(self, y: Tensor) -> Tensor:
        """Return the point of Y nearest to y."""
        ...

    def draw(self, generator: torch.Generator) -> Sample:
        """Return one sample of the noise of both losses."""
        ...


def everywhere(x: Tensor) -> Tensor:
    """Project onto the whole space."""
    return x


def box(low: float, high: float) -> Projection:
    """Return the projection onto {x: low <= x_i <= high}."""
    return lambda x: x.clamp(low, high)


def ball(radius: float) -> Projection:
    """Return the projection onto {x: |x| <= radius}."""
    return lambda x: x * (radius / x.norm().clamp_min(radius))


def simplex(x: Tensor) -> Tensor:
    """Project the vector x (N,) onto {x: x_i >= 0, sum_i x_i = 1}: max(x - t, 0) with the t that sums to 1
    (Held, Wolfe and Crowder 1974)."""
    sorted_N = x.sort(descending=True).values
    counts_N = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)
    thresholds_N = (sorted_N.cumsum(0) - 1) / counts_N
    last = int((sorted_N > thresholds_N).sum()) - 1
    return (x - thresholds_N[last]).clamp_min(0)
