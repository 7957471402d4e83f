import math

import pytest
import torch

from rlx.regularizer.chi2 import Chi2, chi2_estimate, extended_expm1

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


@pytest.mark.parametrize("face", ["surrogate", "penalty"])
def test_surrogate_and_penalty_have_the_gradient_of_the_chi2(face):
    logits = LOGITS.clone().requires_grad_()
    wanted = torch.autograd.grad(exact_chi2(logits), logits)[0]
    logps = logits.log_softmax(-1)
    rows = logps[:, None], REF[:, None], ONE_TOKEN
    objective = PLAIN.surrogate(*rows) if face == "surrogate" else PLAIN.penalty(*rows).sum(-1) * logps
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
