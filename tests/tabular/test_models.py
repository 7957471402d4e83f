import numpy as np
import pytest
import torch

from rlx.attribution.importance import importance, shares
from rlx.attribution.shapley import game, shapley
from rlx.tabular.models import EPS, Penalty, gam, linear, mlp
from rlx.tabular.settings import MlpSettings
from rlx.tabular.table import Part

NUMBERS = MlpSettings(
    hidden_size=8, num_layers=1, num_epochs=60, learning_rate=0.02, weight_decay=0.0, penalty_from=0.5
)
GROUPS = [(0,), (1,), (2,)]


def part(score=lambda x: x[:, 0] + 0.3 * x[:, 1], rows=80, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    x_BF = rng.normal(size=(rows, 3)) * [1.0, 2.0, 1.0] + [0.0, 5.0, 0.0]
    return Part(x_BF, score(x_BF) + noise * rng.normal(size=rows))


def shares_of(model, of: Part):
    plan, x_BF = shapley(3), torch.from_numpy(of.x_BF)
    return shares(importance(plan.phi(game(model, x_BF, x_BF.mean(0), GROUPS)(plan.kept_SG))), EPS).tolist()


def test_the_linear_model_finds_the_weights():
    model = linear(part(noise=0.0))
    x_BF = torch.tensor([[1.0, 5.0, 0.0], [0.0, 6.0, 0.0], [0.0, 5.0, 7.0]], dtype=torch.float64)
    assert model(x_BF).tolist() == pytest.approx([2.5, 1.8, 1.5], abs=0.02)


def test_the_additive_model_sees_a_parabola_and_no_interaction():
    bent, crossed = (part(score, rows=400) for score in (lambda x: x[:, 0] ** 2, lambda x: x[:, 0] * x[:, 2]))

    def r2(model, of):
        return (
            1
            - np.square(of.y_B - model(torch.from_numpy(of.x_BF)).numpy()).sum()
            / np.square(of.y_B - of.y_B.mean()).sum()
        )

    assert r2(gam(bent), bent) > 0.95 > 0.2 > r2(linear(bent), bent)
    assert r2(gam(crossed), crossed) < 0.2


@pytest.mark.parametrize("fit", [linear, gam])
def test_additive_models_attribute_to_each_factor_alone(fit):
    # phi_j = f_j(x_j) - f_j(mean): the value of a coalition is a sum, so first and exact agree to rounding.
    model, x_BF = fit(part()), torch.from_numpy(part().x_BF)
    values = game(model, x_BF, x_BF.mean(0), GROUPS)
    phi_BG = shapley(3).phi(values(shapley(3).kept_SG))
    alone_SB = values(torch.eye(3, dtype=torch.bool)) - values(torch.zeros(1, 3, dtype=torch.bool))
    torch.testing.assert_close(phi_BG, alone_SB.T, atol=1e-9, rtol=0)


def test_the_penalty_is_the_divergence_of_the_networks_shares():
    z_BF = torch.from_numpy(part().x_BF)
    z_BF = (z_BF - z_BF.mean(0)) / z_BF.std(0, correction=0)
    weights = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
    found = Penalty(z_BF, GROUPS, torch.tensor([0.5, 0.3, 0.2]).double())(lambda rows: rows @ weights)
    # A linear score has I_j = |w_j| mean |z_j|.
    p = shares(weights.abs() * z_BF.abs().mean(0), EPS)
    want = (torch.tensor([0.5, 0.3, 0.2]).double() * (torch.tensor([0.5, 0.3, 0.2]).double() / p).log()).sum()
    assert float(found) == pytest.approx(float(want), abs=1e-9)


def test_without_weight_the_penalty_changes_no_bit():
    x_BF = torch.from_numpy(part().x_BF)
    plain = mlp(part(), NUMBERS, GROUPS, None, 0.0, 3)(x_BF)
    assert torch.equal(plain, mlp(part(), NUMBERS, GROUPS, [0.1, 0.1, 0.8], 0.0, 3)(x_BF))
    assert not torch.equal(plain, mlp(part(), NUMBERS, GROUPS, [0.1, 0.1, 0.8], 1.0, 3)(x_BF))


def test_more_weight_brings_the_networks_shares_nearer_to_the_reference():
    reference, given = [0.2, 0.2, 0.6], part()
    gaps = []
    for weight in (0.0, 0.3, 3.0):
        found = shares_of(mlp(given, NUMBERS, GROUPS, reference, weight, 0), given)
        gaps.append(sum(abs(a - b) for a, b in zip(found, reference, strict=True)))
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.5 * gaps[0]


def test_a_penalty_from_the_start_can_lock_in_a_wrong_sign_and_a_late_one_does_not():
    # Few steps from a random start: importance has no sign, so the penalty resists passing through zero importance.
    from dataclasses import replace

    given, reference = part(lambda x: x[:, 0] + x[:, 2], rows=200), [0.49, 0.02, 0.49]

    def error(begin: float, seed: int) -> float:
        network = mlp(given, replace(NUMBERS, penalty_from=begin), GROUPS, reference, 10.0, seed)
        return float((network(torch.from_numpy(given.x_BF)) - torch.from_numpy(given.y_B)).square().mean())

    errors = {begin: [error(begin, seed) for seed in range(8)] for begin in (0.0, 0.5)}
    assert max(errors[0.0]) > 1.0 > max(errors[0.5])


def test_the_random_state_is_left_alone():
    torch.manual_seed(5)
    want = torch.rand(2)
    torch.manual_seed(5)
    mlp(part(), NUMBERS, GROUPS, None, 0.0, 3)
    assert torch.equal(torch.rand(2), want)
