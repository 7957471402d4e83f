"""RLOO: its baseline, its gradient over every pair of moves, and what the engine reaches."""

import itertools

import pytest
import torch
from bandit import play
from engine.test_exact import REF, REWARDS, chi2, cut, distance, kl, tilted

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.optimizer._groups import leave_one_out
from rlx.optimizer.rloo import RLOO, rloo_loss

RLOO_NUMBERS = RLOO(num_samples=8, num_epochs=2, num_minibatches=2, clip=0.2)


def test_each_reward_is_compared_with_the_mean_of_the_others():
    found = leave_one_out(torch.tensor([[1.0, 2.0, 6.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0 - 4.0, 2.0 - 3.5, 6.0 - 1.5]]))


def test_its_expected_gradient_is_that_of_the_expected_reward():
    """Every pair of the eight moves, with its probability: no sampling."""
    logits = torch.linspace(-1, 1, 8, dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor(REWARDS).double()
    logps = logits.log_softmax(-1)
    total = torch.zeros((), dtype=torch.float64)
    for i, j in itertools.product(range(8), repeat=2):
        pair = torch.tensor([[i, j]])
        advantages = leave_one_out(rewards[pair])[..., None]
        each = rloo_loss(logps[pair][..., None], logps[pair][..., None].detach(), advantages, torch.ones(1, 2, 1), 0.2)
        total = total + (logps[i] + logps[j]).exp().detach() * each.mean()
    (found,) = torch.autograd.grad(total, logits, retain_graph=True)
    (wanted,) = torch.autograd.grad(-(logps.exp() * rewards).sum(), logits)
    torch.testing.assert_close(found, wanted)


def test_tokens_of_a_completion_are_summed_and_what_is_masked_is_not():
    logps = torch.tensor([[-1.0, -2.0, -7.0]])
    mask, advantage = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[2.0, 2.0, 2.0]])
    torch.testing.assert_close(rloo_loss(logps, logps, advantage, mask, 0.2), torch.tensor([-4.0]))


@pytest.mark.parametrize(("regularizer", "wanted"), [(kl(0.3), tilted(0.3)), (chi2(0.2), cut(0.2))], ids=["kl", "chi2"])
def test_the_engine_reaches_the_regularised_optimum(tmp_path, regularizer, wanted):
    policy = play(RLOO_NUMBERS, regularizer, REF, tmp_path, steps=40, lr=3e-3, scores=REWARDS)
    assert distance(policy, wanted) < 0.02


def test_one_completion_has_no_others():
    with pytest.raises(UserError, match="rloo compares a completion with the others of its prompt; draw at least 2"):
        checked(compose(["optimizer=rloo", "optimizer.num_samples=1"])[0].config)
