"""Divergences of whole completions of one or two tokens: estimates and gradients against the enumerated ones."""

import pytest
import torch

from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL, k1
from tests.regularizer.two_tokens import MASK_BT, ROWS, log_ratios, logps_of, parameters, ref_logps_of

KINDS = {
    "kl": KL(beta=0.1, target=None, horizon=1e4),
    "chi2": Chi2(beta=0.1, root=False, max_log_ratio=10, floor=1e-4, target=None, horizon=1e4),
    "root chi2": Chi2(beta=0.1, root=True, max_log_ratio=10, floor=1e-4, target=None, horizon=1e4),
}


def exact(kind, logits):
    """sum p log p/q, sum p (p/q - 1), or its root, over the seven completions."""
    logp, log_ratio = log_ratios(logits)
    if kind == "kl":
        return (logp.exp() * log_ratio).sum()
    chi2 = (logp.exp() * torch.expm1(log_ratio)).sum()
    return chi2.sqrt() if kind == "root chi2" else chi2


def gradient(value, logits):
    return torch.autograd.grad(value, logits)[0]


@pytest.mark.parametrize("kind", ["kl", "chi2"])
def test_the_mean_estimate_is_the_divergence(kind):
    logits = parameters()
    estimate = KINDS[kind].divergence(logps_of(logits, ROWS), ref_logps_of(ROWS), MASK_BT)
    torch.testing.assert_close(estimate.mean(), exact(kind, logits))


@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_as_what_is_still_to_pay_at_each_token_has_the_divergences_gradient(kind):
    """A policy gradient with reward -penalty: every token's log-probability times the penalties from it on."""
    logits = parameters()
    logps = logps_of(logits, ROWS)
    penalty = KINDS[kind].penalty(logps, ref_logps_of(ROWS), MASK_BT)
    assert not penalty.requires_grad and (penalty[~MASK_BT] == 0).all()
    to_pay = penalty.flip(-1).cumsum(-1).flip(-1)
    found = gradient((to_pay * logps * MASK_BT).sum(-1).mean(), logits)
    torch.testing.assert_close(found, gradient(exact(kind, logits), logits))


def test_squares_of_single_tokens_would_drop_what_a_token_does_to_later_ones():
    logits = parameters()
    tokenwise = k1(logps_of(logits, ROWS), ref_logps_of(ROWS), MASK_BT).square().sum(-1) / 2
    found, wanted = gradient(tokenwise.mean(), logits), gradient(exact("kl", logits), logits)
    torch.testing.assert_close(found[1:], wanted[1:])  # the last tokens have no later ones
    assert (found[0] - wanted[0]).abs().max() > 0.01


def test_chi2_of_single_tokens_does_not_add_up_to_that_of_the_completion():
    """Its ratios multiply: chi2 of the whole is .4813 here."""
    logits = parameters()
    log_p = logits.log_softmax(-1)
    ref = torch.tensor([[0.5, 0.2, 0.3], [0.3, 0.6, 0.1], [0.3, 0.3, 0.4]]).double().log()
    first, after_1, after_2 = KINDS["chi2"].token_divergence(log_p, ref).tolist()
    # (1/4)^2/.5 + (1/4)^2/.2 (1 + a) + (1/2)^2/.3 (1 + b) - 1, with a and b the second token's own
    whole = 0.125 + 0.3125 * (1 + after_1) + 0.25 / 0.3 * (1 + after_2) - 1
    assert whole == pytest.approx(exact("chi2", logits).item()) == pytest.approx(0.4813, abs=1e-4)
    assert first + 0.25 * after_1 + 0.5 * after_2 != pytest.approx(whole, rel=0.02)
