import math

import numpy as np
import pytest
import torch

from rlx.regularizer.chi2 import Chi2, chi2_estimate, extended_expm1, improvement_bound, tail_shape

LOGITS = torch.tensor([0.2, -0.5, 1.0], dtype=torch.float64)
REF = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
ONE_TOKEN = torch.ones(3, 1, dtype=torch.bool)
PLAIN = Chi2(beta=0.1, root=False, max_log_ratio=10, floor=1e-4, target=None, horizon=10000)


def exact_chi2(logits):
    ratio = (logits.log_softmax(-1) - REF).exp()
    return (REF.exp() * (ratio - 1).square()).sum()


def test_expected_divergence_is_the_chi2_of_the_distributions():
    logps = LOGITS.log_softmax(-1)
    estimate = PLAIN.divergence(logps[:, None], REF[:, None], ONE_TOKEN)
    assert torch.isclose((logps.exp() * estimate).sum(), exact_chi2(LOGITS))
    assert (estimate >= 0).all()


def test_the_penalty_as_a_reward_has_the_gradient_of_the_chi2():
    logits = LOGITS.clone().requires_grad_()
    wanted = torch.autograd.grad(exact_chi2(logits), logits)[0]
    logps = logits.log_softmax(-1)
    rows = logps[:, None], REF[:, None], ONE_TOKEN
    objective = PLAIN.penalty(*rows).sum(-1) * logps
    got = torch.autograd.grad((logps.detach().exp() * objective).sum(), logits)[0]
    torch.testing.assert_close(got, wanted)


def test_differentiating_the_estimate_itself_would_give_another_gradient():
    logits = LOGITS.clone().requires_grad_()
    wanted = torch.autograd.grad(exact_chi2(logits), logits)[0]
    logps = logits.log_softmax(-1)
    got = torch.autograd.grad((logps.detach().exp() * chi2_estimate(logps - REF, 10)).sum(), logits)[0]
    assert not torch.allclose(got, wanted, rtol=0.1)


def test_root_divides_the_slope_by_twice_the_root():
    # One completion drawn twice with L = log 2: r = 2, chi2 = mean(r + 1/r - 2) = 0.5, slope 2 (r - 1) / (2 sqrt 0.5).
    root = Chi2(beta=0.1, root=True, max_log_ratio=10, floor=1e-4, target=None, horizon=10000)
    logps, mask = torch.full((2, 1), math.log(2.0)), torch.ones(2, 1, dtype=torch.bool)
    assert root.penalty(logps, torch.zeros(2, 1), mask).flatten().tolist() == pytest.approx([1 / math.sqrt(0.5)] * 2)


def test_root_below_the_floor_penalises_nothing():
    root = Chi2(beta=0.1, root=True, max_log_ratio=10, floor=1e-4, target=None, horizon=10000)
    logps, mask = torch.full((2, 1), 1e-3), torch.ones(2, 1, dtype=torch.bool)
    assert root.penalty(logps, torch.zeros(2, 1), mask).abs().sum() == 0


def test_penalty_stands_at_the_last_token():
    logps, ref = torch.tensor([[math.log(2.0), 0.0, 5.0]]), torch.zeros(1, 3)
    mask = torch.tensor([[True, True, False]])
    assert PLAIN.penalty(logps, ref, mask).flatten().tolist() == pytest.approx([0.0, 2.0, 0.0])  # 2 (2 - 1)


def test_ratio_is_extended_linearly_with_value_and_slope_continuous():
    at = torch.tensor([3.0, 3.0 + 1e-6, 4.0], dtype=torch.float64)
    low, near, far = extended_expm1(at, 3.0).tolist()
    assert low == pytest.approx(math.expm1(3.0))
    assert (near - low) / 1e-6 == pytest.approx(math.exp(3.0), rel=1e-4)
    assert far == pytest.approx(math.exp(3.0) * 2 - 1)


def test_link_is_z_plus_log_z():
    assert PLAIN.link(torch.tensor([0.0, math.log(3.0)])).tolist() == pytest.approx([1.0, 3 + math.log(3.0)])


def test_divergence_of_whole_distributions_is_exact():
    logps = LOGITS.log_softmax(-1)
    assert torch.isclose(PLAIN.token_divergence(logps, REF), exact_chi2(LOGITS))
    root = Chi2(beta=0.1, root=True, max_log_ratio=10, floor=1e-4, target=None, horizon=10000)
    assert torch.isclose(root.token_divergence(logps, REF), exact_chi2(LOGITS).sqrt())


@pytest.mark.parametrize("limit, counted", [(3.0, 2 / 3), (10.0, 0.0)])
def test_ratios_beyond_the_settings_own_limit_are_counted(limit, counted):
    regularizer = Chi2(beta=0.1, root=False, max_log_ratio=limit, floor=1e-4, target=None, horizon=500)
    logps = torch.tensor([5.0, 6.0, 0.1])[:, None]
    found = regularizer.diagnostics(logps, torch.zeros(3, 1), torch.ones(3, 1, dtype=torch.bool))
    assert found == {"regularizer/clip_fraction": pytest.approx(counted)}


@pytest.mark.parametrize("shape", [0.25, 1.0])
def test_the_tail_shape_of_pareto_ratios_is_theirs(shape):
    ratios = np.random.default_rng(0).pareto(1 / shape, size=20_000) + 1
    assert tail_shape(torch.tensor(ratios).log()) == pytest.approx(shape, abs=0.15)


def test_few_or_equal_ratios_have_no_tail():
    assert tail_shape(torch.zeros(10)) is None
    assert tail_shape(torch.zeros(100)) is None


def test_the_true_reward_never_gains_less_than_the_bound_on_random_bandits():
    """Everything is enumerated: 2,000 random references, policies, true rewards and correlated proxies over 6 moves."""
    draw, least_room = np.random.default_rng(0), math.inf
    for _ in range(2000):
        ref, policy = draw.dirichlet(np.ones(6)), draw.dirichlet(np.ones(6))
        true = draw.normal(size=6)
        proxy = true + draw.uniform(0, 2) * draw.normal(size=6)
        true_z, proxy_z = ((x - ref @ x) / math.sqrt(ref @ (x - ref @ x) ** 2) for x in (true, proxy))
        correlation = ref @ (true_z * proxy_z)
        if correlation < 0.05:
            continue
        chi2 = ref @ (policy / ref - 1) ** 2
        least_room = min(least_room, policy @ true_z - improvement_bound(policy @ proxy_z, chi2, correlation))
    assert 0 <= least_room < 0.2


def test_a_proxy_that_is_the_true_reward_has_a_bound_without_loss():
    assert improvement_bound(1.3, 5.0, 1.0) == pytest.approx(1.3)
