"""How fast the penalty's error falls with sigma, and stationarity with the number of gradients, beside the theory.

    OMP_NUM_THREADS=1 python scripts/study_bilevel.py [--budgets 300 1000 3000 10000] [--seeds 0 1 2 3 4 5]

Errors in sigma: preference hyper-cleaning with 60 pairs, both levels solved by L-BFGS, against the hyper-gradient by the
implicit function theorem. Theory (arXiv 2309.01753): all three of them are O(sigma).

Stationarity: root mean square of |grad psi| over the iterates of a run of N gradients, psi nonconvex with a closed form. Theory's
bounds for the class: N^-1/3 without noise, N^-1/7 for Algorithm 1 and N^-1/5 for Algorithm 2 with noise. They are upper
bounds: a benign problem may do better. The schedules in N are ours (docs/cleaning.md).
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from rlx.bilevel.double_loop import DoubleLoop, Iterate, double_loop
from rlx.bilevel.penalty import constant, psi, psi_gradient
from rlx.bilevel.single_loop import SingleLoop, single_loop
from rlx.cleaner.bilevel import HyperCleaning
from rlx.model.probe import bradley_terry

SIGMAS = (0.1, 0.03, 0.01, 0.003, 0.001)


@dataclass(frozen=True)
class Curved:
    """g = |y - tanh(Bx)|^2 / 2 and f = sum log(1 + (y - c)^2): psi(x) = f(tanh(Bx)) is not convex. On a sample xi, g has
    noise (1 + x_0) y . xi more, and f noise y . xi."""

    map_YX: Tensor
    target_Y: Tensor
    noise: float

    def upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        value = (1 + (y - self.target_Y) ** 2).log().sum()
        return value if sample is None else value + self.noise * (y @ sample)

    def lower(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        value = (y - torch.tanh(self.map_YX @ x)).square().sum() / 2
        return value if sample is None else value + self.noise * (1 + x[0]) * (y @ sample)

    def project_x(self, x: Tensor) -> Tensor:
        return x.clamp(-3, 3)

    def project_y(self, y: Tensor) -> Tensor:
        return y.clamp(-3, 3)

    def draw(self, generator: torch.Generator) -> Tensor | None:
        return torch.randn(len(self.target_Y), dtype=torch.float64, generator=generator) if self.noise else None

    def stationarity(self, x: Tensor) -> float:
        """|x - Pi(x - grad psi(x))|, the norm of the gradient inside the box."""
        at = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.upper(at, torch.tanh(self.map_YX @ at), None), at)
        return float((x - self.project_x(x - gradient)).norm())


def curved(noise: float) -> Curved:
    g = torch.Generator().manual_seed(7)
    map_YX, target_Y = (torch.randn(*n, dtype=torch.float64, generator=g) for n in ((6, 4), (6,)))
    return Curved(0.7 * map_YX, 0.5 * target_Y, noise)


def without_noise(budget: int, seed: int) -> float:
    """Algorithm 1 with one inner step and eps = N^-1/3: sigma = eps, steps of y 1/2 and of x eps / 5."""
    eps = budget ** (-1 / 3)
    numbers = DoubleLoop(budget // 2, 1, 1, constant(0.2 * eps), constant(0.5), constant(eps), None)
    return _root_mean_square(double_loop, curved(0.0), numbers, seed)


def algorithm_1(budget: int, seed: int) -> float:
    """With eps = N^-1/7: sigma = eps, eps^-2 outer steps of eps^-5 inner ones and samples, steps of y 3 eps^3 and of x .6 eps."""
    eps = budget ** (-1 / 7)
    outer = max(1, round(eps**-2))
    inner = max(1, budget // (2 * outer))
    numbers = DoubleLoop(outer, inner, inner, constant(0.6 * eps), constant(3 * eps**3), constant(eps), None)
    return _root_mean_square(double_loop, curved(0.2), numbers, seed)


def algorithm_2(budget: int, seed: int) -> float:
    """With eps = N^-1/5: sigma = eps, steps of y eps^2 and of x eps^3, eta = eps^4."""
    eps = budget ** (-1 / 5)
    numbers = SingleLoop(budget, constant(eps**3), constant(eps**2), constant(eps), constant(eps**4))
    return _root_mean_square(single_loop, curved(0.2), numbers, seed)


def _root_mean_square(solver, problem: Curved, numbers, seed: int) -> float:
    """The root mean square of |grad psi| over the iterates, which is what the theory bounds (200 of them, evenly taken)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(problem.map_YX.shape[1], dtype=torch.float64, generator=g)
    every, seen = max(1, numbers.num_steps // 200), []

    def watch(iterate: Iterate) -> None:
        if iterate.step % every == 0:
            seen.append(problem.stationarity(iterate.x) ** 2)

    solver(problem, x, torch.zeros_like(problem.target_Y), numbers, g, watch)
    return float(np.mean(seen)) ** 0.5


def exponent(at: Sequence[float], values_RS: np.ndarray) -> tuple[float, float]:
    """The slope of log value over log `at` (S), and half of its 95 % interval of Student's t over the R repetitions."""
    slopes = np.array([np.polyfit(np.log(at), np.log(row), 1)[0] for row in values_RS])
    half = (
        stats.t.ppf(0.975, len(slopes) - 1) * slopes.std(ddof=1) / len(slopes) ** 0.5 if len(slopes) > 1 else math.nan
    )
    return float(slopes.mean()), float(half)


def sigma_errors(seed: int) -> np.ndarray:
    """(3, len(SIGMAS)): the errors of psi_sigma, of its gradient, and |y_sigma - y*|."""
    g = torch.Generator().manual_seed(seed)
    train, trusted = (torch.randn(n, 5, dtype=torch.float64, generator=g) + 0.3 for n in (60, 30))
    problem, x = HyperCleaning(train, trusted, 0.1, None), torch.randn(60, dtype=torch.float64, generator=g)
    z = bradley_terry(train, 0.1, torch.sigmoid(x))
    of_y = torch.func.grad(problem.upper, argnums=1)(x, z, None)
    hessian = torch.func.hessian(problem.lower, argnums=1)(x, z, None)
    mixed = torch.func.jacrev(torch.func.grad(problem.lower, argnums=1), argnums=0)(x, z, None)
    true = -mixed.T @ torch.linalg.solve(hessian, of_y)  # f has no x of its own
    found = []
    for sigma in SIGMAS:
        joint = torch.cat([torch.sigmoid(x) / 60, torch.full((30,), sigma / 30, dtype=torch.float64)])
        y = bradley_terry(torch.cat([train, trusted]), 0.1, joint * 90)
        value = float((psi(problem, x, y, z, sigma) - problem.upper(x, z, None)).abs())
        found.append([value, float((psi_gradient(problem, x, y, z, sigma) - true).norm()), float((y - z).norm())])
    return np.array(found).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", type=int, default=[300, 1000, 3000, 10000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4, 5])
    asked = parser.parse_args()
    print("| what | fitted exponent | theory | values |\n|---|---|---|---|")
    errors_RES = np.array([sigma_errors(seed) for seed in asked.seeds])
    names = ("psi_sigma - psi", "grad psi_sigma - grad psi", "y_sigma - y*")
    for i, name in enumerate(names):
        slope, half = exponent(SIGMAS, errors_RES[:, i])
        shown = ", ".join(f"{v:.2g}" for v in errors_RES[:, i].mean(0))
        print(
            f"| {name}, in sigma | {slope:.3f} ± {half:.3f} | 1 | {shown} at sigma {', '.join(map(str, SIGMAS))} |",
            flush=True,
        )
    rates = (
        ("Algorithm 1 without noise", without_noise, "-1/3"),
        ("Algorithm 1 with noise", algorithm_1, "-1/7"),
        ("Algorithm 2 with noise", algorithm_2, "-1/5"),
    )
    for name, run, theory in rates:
        values_RS = np.array([[run(budget, seed) for budget in asked.budgets] for seed in asked.seeds])
        slope, half = exponent(asked.budgets, values_RS)
        shown = ", ".join(f"{v:.2g}" for v in values_RS.mean(0))
        print(
            f"| {name}, in N | {slope:.3f} ± {half:.3f} | {theory} | {shown} at N {', '.join(map(str, asked.budgets))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
