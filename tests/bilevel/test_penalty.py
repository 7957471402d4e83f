from math import pi

import pytest
import torch

from rlx.bilevel.penalty import (
    constant,
    falling,
    lower_gradients,
    penalised,
    power,
    proximal,
    psi,
    psi_gradient,
    residual,
)
from rlx.bilevel.problem import box
from tests.bilevel.problems import Alone, quadratic

SIGMAS = (0.4, 0.2, 0.1, 0.05)
X = torch.tensor([0.7, -1.3], dtype=torch.float64)


def at(problem, x, sigma):
    return problem.penalised_solution(x, sigma), problem.lower_solution(x)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_on_quadratics_psi_sigma_and_its_gradient_are_those_of_psi_over_1_plus_sigma(sigma):
    problem = quadratic()
    y, z = at(problem, X, sigma)
    torch.testing.assert_close(psi(problem, X, y, z, sigma), problem.psi(X) / (1 + sigma))
    gradient, true = psi_gradient(problem, X, y, z, sigma), problem.psi_gradient(X)
    torch.testing.assert_close(gradient, true / (1 + sigma))
    # sigma / (1 + sigma): .286, .167, .091, .048
    error = (gradient - true).norm() / true.norm()
    assert error == pytest.approx(sigma / (1 + sigma), rel=1e-12)


@pytest.mark.parametrize("project", [box(-0.4, 0.3), box(-9.0, 9.0)])
def test_the_gradient_is_the_slope_of_psi_sigma_by_finite_differences_with_constraints_too(project):
    problem = quadratic(project_y=project)

    def value(x):
        return float(psi(problem, x, *at(problem, x, 0.1), 0.1))

    found = psi_gradient(problem, X, *at(problem, X, 0.1), 0.1)
    for i, slope in enumerate(found):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-5
        assert (value(X + step) - value(X - step)) / 2e-5 == pytest.approx(float(slope), abs=1e-6)


def test_an_active_bound_takes_its_coordinate_out_of_the_gradient():
    """Where both y and z lie on the bound, y does not follow x."""
    problem = quadratic(project_y=box(-9.0, float(min((quadratic().map_YX @ X).min(), -1.0)) - 1.0))
    y, z = at(problem, X, 0.1)
    assert torch.equal(y, z) and torch.equal(psi_gradient(problem, X, y, z, 0.1), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("project", [box(-0.4, 0.3), box(-9.0, 9.0)])
def test_psi_sigma_rises_to_psi_as_sigma_falls(project):
    problem = quadratic(project_y=project)
    values = [float(psi(problem, X, *at(problem, X, sigma), sigma)) for sigma in (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)]
    true = float(problem.upper(X, problem.lower_solution(X), None))
    assert all(low <= high + 1e-12 for low, high in zip(values, [*values[1:], true], strict=True))
    assert values[-1] == pytest.approx(true, rel=2e-4) and values[0] < 0.9 * true


def test_psi_is_the_least_penalised_loss_less_the_least_lower_loss_over_sigma():
    problem = quadratic()
    y, z = at(problem, X, 0.3)
    least = (penalised(problem, X, y, 0.3) - penalised(problem, X, z, 0.0)) / 0.3
    torch.testing.assert_close(psi(problem, X, y, z, 0.3), least)
    for other in (y + 0.01, y - 0.01):
        assert penalised(problem, X, other, 0.3) > penalised(problem, X, y, 0.3)


def test_lower_gradients_vanish_at_the_solutions_and_only_there():
    problem = quadratic()
    y, z = at(problem, X, 0.2)
    assert max(g.abs().max() for g in lower_gradients(problem, X, y, z, 0.2)) < 1e-12
    of_y, of_z = lower_gradients(problem, X, z, y, 0.2)
    # At z the lower loss is flat and sigma f is left; at y the lower loss pulls back.
    torch.testing.assert_close(of_y, 0.2 * (z - problem.target_Y))
    torch.testing.assert_close(of_z, y - z)


def test_gradients_are_taken_also_where_the_caller_has_turned_them_off():
    problem = quadratic()
    y, z = at(problem, X, 0.2)
    with torch.no_grad():
        off = psi_gradient(problem, X, y, z, 0.2), *lower_gradients(problem, X, z, y, 0.2)
    on = psi_gradient(problem, X, y, z, 0.2), *lower_gradients(problem, X, z, y, 0.2)
    assert all(torch.equal(a, b) and a.abs().max() > 0 for a, b in zip(off, on, strict=True))


def test_the_proximal_form_has_its_zero_at_the_proximal_point():
    # h(y) = y^2 / 2 and rho = 1/2: prox(w) = w / (1 + rho) = 2 w / 3.
    centre = torch.tensor([3.0])
    point = torch.tensor([2.0])
    assert proximal(point, point, centre, 0.5) == pytest.approx(0.0)
    assert proximal(point, point, centre, None) is point


def test_the_residual_is_nought_on_a_bound_that_the_gradient_presses_against():
    inside, edge = torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0])
    outward = torch.tensor([-2.0, 0.0])
    assert residual(outward, inside, box(-1, 1), 0.1) == pytest.approx(2.0)
    assert residual(outward, edge, box(-1, 1), 0.1) == 0


def test_a_penalty_on_the_norm_of_the_gradient_has_a_minimum_where_the_lower_loss_has_none():
    """Shen and Chen (2023), the sin example: g = y^2 + 2 sin^2 y has one stationary point, y = 0. At y = 2 pi / 3, g' is
    2.45, yet f + c (g')^2 with f = sin^2(y - 2 pi / 3) has a local minimum for every c. The value of g has none there."""
    spurious = torch.tensor([2 * pi / 3], dtype=torch.float64)
    problem = Alone(lambda y: (y - 2 * pi / 3).sin() ** 2, lambda y: y**2 + 2 * y.sin() ** 2)

    def slope(y):
        return 2 * y + 2 * (2 * y).sin()

    for weight in (1.0, 1e3, 1e6):
        values = [float(problem.f(y) + weight * slope(y) ** 2) for y in (spurious - 0.01, spurious, spurious + 0.01)]
        assert values[1] < min(values[0], values[2])
    for sigma in (1.0, 0.1, 0.01):
        of_y, of_z = lower_gradients(problem, torch.zeros(1), spurious, spurious, sigma)
        assert float(of_y) == pytest.approx(4 * pi / 3 - 3**0.5) and torch.equal(of_y, of_z)


def test_schedules_start_and_end_where_they_say():
    assert constant(0.3)(7) == 0.3
    assert power(2.0, 0.5)(3) == 1.0
    sigma = falling(1.0, 0.1, 11)
    assert sigma(0) == 1.0 and sigma(10) == pytest.approx(0.1)
    assert 1 / sigma(5) == pytest.approx((1 + 10) / 2)
