from dataclasses import replace
from math import pi

import pytest
import torch

from rlx.bilevel.double_loop import DoubleLoop, double_loop
from rlx.bilevel.penalty import constant
from rlx.bilevel.problem import ball, box
from tests.bilevel.problems import Alone, quadratic

NUMBERS = DoubleLoop(
    num_steps=120,
    num_inner=6,
    num_samples=1,
    step_x=constant(0.2),
    step_y=constant(0.9),
    sigma=constant(0.1),
    rho=None,
)


def run(problem, numbers=NUMBERS, x=(2.0, 2.0), y=(0.0, 0.0, 0.0), seed=0, **more):
    start = (torch.tensor(v, dtype=torch.float64) for v in (x, y))
    return double_loop(problem, *start, numbers, torch.Generator().manual_seed(seed), **more)


def test_it_finds_the_least_squares_of_a_quadratic_problem():
    """min over x of |Bx - c|^2 / 2: psi_sigma is psi / (1 + sigma) and has the same minimum at every sigma."""
    problem = quadratic()
    found = run(problem)
    best = torch.linalg.lstsq(problem.map_YX, problem.target_Y[:, None]).solution[:, 0]
    torch.testing.assert_close(found.x, best, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.z, problem.lower_solution(found.x), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.y, problem.penalised_solution(found.x, 0.1), atol=1e-6, rtol=0)


def test_x_and_y_stay_in_their_sets_and_the_end_is_stationary_there():
    problem = quadratic(project_x=ball(0.2), project_y=box(-0.4, 0.3))
    seen = []
    found = run(problem, watch=seen.append)
    assert len(seen) == 120 and seen[-1].step == 120
    assert max(float(i.x.norm()) for i in seen) <= 0.2 + 1e-12
    assert max(float(v.max()) for i in seen for v in (i.y, i.z)) <= 0.3
    moved = problem.project_x(found.x - found.direction)
    torch.testing.assert_close(moved, found.x, atol=1e-5, rtol=0)


def test_y_comes_nearer_to_z_in_proportion_to_sigma():
    problem = quadratic()
    ends = [run(problem, replace(NUMBERS, sigma=constant(sigma))) for sigma in (0.2, 0.1, 0.05)]
    gaps = [float((end.y - end.z).norm()) for end in ends]
    # (c - Bx) sigma / (1 + sigma): the ratios are those of 1/6, 1/11, 1/21
    assert gaps[1] / gaps[0] == pytest.approx(6 / 11, rel=1e-3) and gaps[2] / gaps[1] == pytest.approx(
        11 / 21, rel=1e-3
    )


def test_the_value_penalty_leaves_the_point_at_which_a_gradient_norm_penalty_stays():
    problem = Alone(lambda y: (y - 2 * pi / 3).sin() ** 2, lambda y: y**2 + 2 * y.sin() ** 2)
    numbers = replace(NUMBERS, num_steps=20, step_y=constant(0.1), sigma=constant(0.01))
    found = run(problem, numbers, x=(0.0,), y=(2 * pi / 3,))
    # h' = 6 y + .01 sin(2 (y - 2 pi / 3)) near 0: y = -.01 sin(-4 pi / 3) / 6
    assert float(found.z) == pytest.approx(0.0, abs=1e-9)
    assert float(found.y) == pytest.approx(-0.01 * 3**0.5 / 2 / 6, rel=0.02)
    by_norm = torch.tensor(2 * pi / 3 + 0.05, dtype=torch.float64)
    for _ in range(500):
        y = by_norm.requires_grad_()
        slope = 2 * y + 2 * (2 * y).sin()
        (gradient,) = torch.autograd.grad((y - 2 * pi / 3).sin() ** 2 + 10 * slope**2, y)
        by_norm = (y - 4e-4 * gradient).detach()
    assert float(by_norm) == pytest.approx(2 * pi / 3, abs=1e-3)


def test_the_proximal_term_holds_the_inner_loop_near_its_start():
    """One outer step: u -> argmin g(u) + |u - y|^2 / (2 rho), so that z = (Bx + y / rho) / (1 + 1 / rho) from y = 0."""
    problem = quadratic()
    found = run(problem, replace(NUMBERS, num_steps=1, num_inner=50, step_y=constant(0.2), rho=0.5))
    target = problem.map_YX @ torch.tensor([2.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(found.z, target / 3)


def directions(num_samples, num_inner, seeds=range(40)):
    """The first directions of x from x = (-1, 0), where the noise is in the gradient of x alone."""
    numbers = replace(NUMBERS, num_steps=1, num_inner=num_inner, num_samples=num_samples)
    return torch.stack([run(quadratic(noise=1.0), numbers, x=(-1.0, 0.0), seed=s).direction for s in seeds])


def test_the_noise_of_the_shared_sample_cancels_where_y_is_z():
    assert directions(num_samples=1, num_inner=0).std(0).max() == 0


def test_the_noise_of_the_direction_is_that_of_a_mean_over_the_samples():
    """(y - z) . xi / sigma: after many inner steps y - z = sigma (c - Bx) / (1 + sigma)."""
    problem, x = quadratic(), torch.tensor([-1.0, 0.0], dtype=torch.float64)
    one = float((problem.target_Y - problem.map_YX @ x).norm()) / 1.1
    assert float(directions(1, 6)[:, 0].std()) == pytest.approx(one, rel=0.25)
    assert float(directions(16, 6)[:, 0].std()) == pytest.approx(one / 4, rel=0.25)
