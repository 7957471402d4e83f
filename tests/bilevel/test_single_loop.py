from dataclasses import replace

import pytest
import torch

from rlx.bilevel.penalty import constant, power
from rlx.bilevel.problem import ball, box
from rlx.bilevel.single_loop import SingleLoop, recursive_momentum, single_loop
from tests.bilevel.problems import quadratic

NUMBERS = SingleLoop(num_steps=600, step_x=constant(0.04), step_y=constant(0.5), sigma=constant(0.1), eta=constant(0.1))


def run(problem, numbers=NUMBERS, seed=0, **more):
    x, y = torch.full((2,), 2.0, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return single_loop(problem, x, y, numbers, torch.Generator().manual_seed(seed), **more)


def best(problem):
    return torch.linalg.lstsq(problem.map_YX, problem.target_Y[:, None]).solution[:, 0]


def test_it_finds_the_solution_without_an_inner_loop():
    problem = quadratic()
    found = run(problem)
    torch.testing.assert_close(found.x, best(problem), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.y, problem.penalised_solution(found.x, 0.1), atol=1e-5, rtol=0)


def test_iterates_stay_in_their_sets():
    seen = []
    run(quadratic(noise=0.3, project_x=ball(0.2), project_y=box(-0.4, 0.3)), watch=seen.append)
    assert max(float(i.x.norm()) for i in seen) <= 0.2 + 1e-12
    assert max(float(v.abs().max()) for i in seen for v in (i.y, i.z)) <= 0.4


def test_without_momentum_the_direction_is_the_gradient_and_without_forgetting_the_change_is_added_up():
    now, before, direction = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([5.0])
    assert recursive_momentum(now, before, direction, 1.0) == 3
    assert recursive_momentum(now, before, direction, 0.0) == 7
    assert recursive_momentum(now, before, direction, 0.25) == 3 + 0.75 * 4


def test_on_a_problem_without_noise_momentum_changes_nothing():
    """v_k = G(w_k) + (1 - eta) (v_{k-1} - G(w_{k-1})), and v_0 = G(w_0): by induction v_k = G(w_k)."""
    with_it, without = (run(quadratic(), replace(NUMBERS, num_steps=20, eta=constant(eta))) for eta in (0.1, 1.0))
    torch.testing.assert_close(with_it.x, without.x, atol=1e-12, rtol=0)


def test_momentum_averages_the_noise_of_the_direction_away():
    """x stands still, so that the direction is an estimate of one gradient."""
    problem = quadratic(noise=0.5)
    true = problem.psi_gradient(torch.full((2,), 2.0, dtype=torch.float64)) / 1.1

    def error(eta):
        still = replace(NUMBERS, num_steps=100, step_x=constant(0.0), eta=constant(eta))
        found = [(run(problem, still, seed).direction - true).norm() for seed in range(6)]
        return float(torch.stack(found).mean())

    assert error(0.05) < 0.5 * error(1.0)


def test_the_same_seed_gives_the_same_end():
    numbers = replace(NUMBERS, num_steps=30, step_x=power(0.1, 0.5))
    one, again, other = (run(quadratic(noise=0.5), numbers, seed) for seed in (3, 3, 4))
    assert torch.equal(one.x, again.x) and not torch.equal(one.x, other.x)
    assert float(one.step) == pytest.approx(30)
