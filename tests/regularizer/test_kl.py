import math

import torch

from rlx.regularizer._controller import adapted_beta
from rlx.regularizer.kl import KL

# A policy and a reference over 3 completions of one token each; everything can be enumerated.
LOGITS = torch.tensor([0.2, -0.5, 1.0], dtype=torch.float64)
REF = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
ONE_TOKEN = torch.ones(3, 1, dtype=torch.bool)
KL_005 = KL(beta=0.05, target=None, horizon=10000)


def exact_kl(logits):
    logps = logits.log_softmax(-1)
    return (logps.exp() * (logps - REF)).sum()


def test_expected_divergence_is_the_kl_of_the_distributions():
    logps = LOGITS.log_softmax(-1)
    estimate = KL_005.divergence(logps[:, None], REF[:, None], ONE_TOKEN)
    assert torch.isclose((logps.exp() * estimate).sum(), exact_kl(LOGITS))


def test_penalty_as_a_reward_has_the_gradient_of_the_kl():
    # Policy gradient with reward -penalty descends E[penalty * grad log pi].
    logits = LOGITS.clone().requires_grad_()
    wanted = torch.autograd.grad(exact_kl(logits), logits)[0]
    logps = logits.log_softmax(-1)
    penalty = KL_005.penalty(logps[:, None], REF[:, None], ONE_TOKEN).sum(-1)
    got = torch.autograd.grad((logps.detach().exp() * penalty * logps).sum(), logits)[0]
    torch.testing.assert_close(got, wanted)
    assert not penalty.requires_grad


def test_masked_tokens_do_not_count():
    logps, ref = torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[-1.5, -1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    assert KL_005.divergence(logps, ref, mask).item() == -0.5  # 0.5 + (-1.0)
    assert KL_005.penalty(logps, ref, mask).tolist() == [[0.5, -1.0, 0.0]]


def test_fixed_beta_stays():
    assert KL_005.next_beta(0.05, 100.0, 64) == 0.05


def test_adaptive_beta_moves_by_at_most_a_fifth_of_completions_over_horizon():
    assert math.isclose(adapted_beta(0.2, 60.0, 6.0, 10000, 500), 0.2 * math.exp(0.2 * 0.05))
    assert math.isclose(adapted_beta(0.2, 0.0, 6.0, 10000, 500), 0.2 * math.exp(-0.2 * 0.05))
    assert math.isclose(adapted_beta(0.2, 6.6, 6.0, 10000, 500), 0.2 * math.exp(0.1 * 0.05))
    assert adapted_beta(0.2, 6.0, 6.0, 10000, 500) == 0.2


def test_adaptive_beta_stays_positive_however_many_completions_a_step_has():
    assert 0 < adapted_beta(0.2, 0.0, 6.0, 500, 8192) < 0.02


def test_divergence_of_whole_distributions_is_exact():
    logps = LOGITS.log_softmax(-1)
    assert torch.isclose(KL_005.token_divergence(logps, REF), exact_kl(LOGITS))
