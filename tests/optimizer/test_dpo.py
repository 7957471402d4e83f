"""DPO and chiPO: the loss, what minimises it, and what the engine reaches."""

import pytest
import torch
from bandit import play
from engine.test_exact import REF, REWARDS, chi2, distance, kl, tilted

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.core.rollout import Batch, PolicyOutput
from rlx.optimizer.dpo import DPO, dpo_loss

DPO_NUMBERS = DPO(num_samples=2, num_epochs=2, num_minibatches=4, pairing="iid", oracle="reward", clip=None)


def test_the_loss_is_the_log_loss_of_the_margin():
    gaps = torch.tensor([0.0, 2.0, -3.0])
    wanted = torch.log1p((-0.5 * gaps).exp())
    torch.testing.assert_close(dpo_loss(gaps, 0.5), wanted)
    torch.testing.assert_close(dpo_loss(gaps, 0.5, clip=1.2)[2], torch.tensor(1.2).exp().log1p())


@pytest.mark.parametrize("regularizer", [kl(0.3), chi2(0.3)], ids=["kl", "chi2"])
def test_the_population_loss_is_least_where_the_implicit_reward_is_the_reward(regularizer):
    """Over all pairs of moves, from a policy with full support, the winner by Bradley-Terry: beta link(pi / ref) = r + const."""
    ref, rewards = torch.tensor(REF).double().log(), torch.tensor(REWARDS).double()
    drawn = torch.linspace(1, 2, 8).double()
    pairs = drawn[:, None] * drawn[None] * (rewards[:, None] - rewards[None]).sigmoid()
    logits = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-15,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimizer.zero_grad()
        link = regularizer.link(logits.log_softmax(-1) - ref)
        loss = (pairs * dpo_loss(link[:, None] - link[None], 0.3)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    policy = logits.detach().log_softmax(-1)
    level = 0.3 * regularizer.link(policy - ref) - rewards
    assert level.max() - level.min() < 1e-4
    if regularizer == kl(0.3):
        torch.testing.assert_close(policy.exp(), tilted(0.3), atol=1e-4, rtol=1e-4)


def test_the_engine_reaches_the_policy_that_ppo_reaches(tmp_path):
    policy = play(DPO_NUMBERS, kl(0.5), REF, tmp_path, steps=40, lr=3e-3, scores=REWARDS, num_prompts=512)
    assert distance(tilted(0.5), torch.tensor(REF)) > 0.3
    assert distance(policy, tilted(0.5)) < 0.05


def test_a_rejected_pair_adds_nothing_and_the_credit_is_summed_over_tokens():
    mask = torch.tensor([[[1, 1], [1, 0]], [[1, 1], [1, 1]]]).bool()
    logps = torch.tensor([[[-1.0, -2.0], [-0.5, -9.0]], [[-1.0, -1.0], [-2.0, -2.0]]])
    credit = {
        "old_logps": torch.zeros(2, 2),
        "ref_logps": torch.tensor([[-2.0, -1.0], [0.0, 0.0]]),
        "kept": torch.tensor([1.0, 0.0]),
    }
    batch = Batch(mask, mask, mask, mask, credit, num_tokens=7, num_prompts=2)
    loss, metrics = DPO_NUMBERS.loss(PolicyOutput(logps, None, None, None), batch, kl(0.5), 0.5)
    gap = (-3.0 + 2.0) - (-0.5 + 1.0)
    torch.testing.assert_close(loss, dpo_loss(torch.tensor(gap), 0.5) / 2)
    torch.testing.assert_close(metrics["dpo/margin"], torch.tensor(0.5 * gap / 2))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["optimizer.num_samples=1"], "dpo learns from pairs of completions; draw at least 2"),
        (["optimizer.num_samples=6"], "choose a power of two, 4 or 8, or optimizer.pairing=best_worst"),
        (["regularizer.beta=0"], "regularizer.beta=0: dpo's loss is of beta times a log-ratio"),
    ],
)
def test_what_dpo_cannot_do_is_refused(words, line):
    with pytest.raises(UserError, match=line):
        checked(compose(["optimizer=dpo", *words])[0].config)
