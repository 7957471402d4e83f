"""GRPO: its advantages, its averages, and what the engine reaches."""

import pytest
import torch
from bandit import play
from engine.test_exact import REF, REWARDS, distance, kl, tilted

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.core.rollout import Batch, PolicyOutput
from rlx.optimizer._groups import group_normalised
from rlx.optimizer.grpo import GRPO, mean_over_tokens


def grpo(scale="group", average="completion") -> GRPO:
    return GRPO(num_samples=8, num_epochs=2, num_minibatches=2, clip=0.2, scale=scale, average=average)


def test_a_group_is_centred_and_divided_by_its_sd():
    found = group_normalised(torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]), eps=0.0001)
    sd = 7.0**0.5
    torch.testing.assert_close(found[0], torch.tensor([-2.0, -1.0, 3.0]) / (sd + 1e-4))
    assert (found[1] == 0).all()


def test_tokens_are_averaged_per_completion_or_all_together():
    loss, mask = torch.tensor([[[3.0, 3.0, 0.0], [9.0, 5.0, 5.0]]]), torch.tensor([[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    torch.testing.assert_close(mean_over_tokens(loss, mask), torch.tensor([[3.0, 9.0]]))
    logps = torch.zeros(1, 2, 3)
    credit = {"old_logps": logps, "advantages": -loss}
    batch = Batch(mask, mask, mask, mask.bool(), credit, num_tokens=3, num_prompts=1)
    output = PolicyOutput(logps, None, None, None)
    assert grpo().loss(output, batch, kl(0.1), 0.1)[0].item() == pytest.approx(6.0)
    assert grpo(average="tokens").loss(output, batch, kl(0.1), 0.1)[0].item() == pytest.approx(5.0)


def test_without_the_groups_sd_the_engine_reaches_the_regularised_optimum(tmp_path):
    policy = play(grpo(scale="none"), kl(0.3), REF, tmp_path, steps=40, lr=3e-3, scores=REWARDS)
    assert distance(policy, tilted(0.3)) < 0.02


@pytest.mark.slow
def test_with_the_groups_sd_a_beta_is_worth_less_where_scores_spread_more(tmp_path):
    """Scores ten times as far apart are the same advantages, so the policy is the same: beta is in SD of the group."""
    ends = [
        play(grpo(), kl(0.5), REF, tmp_path / str(by), steps=30, lr=3e-3, scores=[by * r for r in REWARDS]) for by in (1.0, 10.0)
    ]  # fmt: skip
    assert distance(*ends) < 0.01
    assert distance(ends[0], tilted(0.5)) > 0.1


def test_one_completion_is_no_group():
    with pytest.raises(UserError, match="grpo normalises over the completions of a prompt; draw at least 2"):
        checked(compose(["optimizer=grpo", "optimizer.num_samples=1"])[0].config)
