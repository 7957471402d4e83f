"""Importance weights on a policy over eight moves that another engine draws from: every expectation can be enumerated."""

import pytest
import torch
from bandit import Table, as_it_is, bandit_model, move_tokenizer

from rlx.core.rollout import Batch, PolicyOutput
from rlx.core.sampler import Drawn
from rlx.core.world import Prompt
from rlx.engine.experience import RolloutModels, draw, score
from rlx.engine.importance import measured, truncated_weights
from rlx.model.actor_critic import with_critic
from rlx.optimizer.ppo import PPO
from rlx.regularizer.kl import KL
from rlx.sampler.transformers import Transformers

PI = [2, 4, 6, 8, 8, 10, 10, 16]  # of 64: what the policy thinks
MU = [4, 4, 12, 4, 8, 10, 14, 8]  # of 64: what the engine draws; moves 3 and 7 half as often as they should be
F = torch.tensor([0.2, -0.4, 1.0, 0.0, 0.6, -0.2, 0.3, -1.0])
PI_V, MU_V = torch.tensor(PI) / 64, torch.tensor(MU) / 64
KL_01 = KL(beta=0.1, target=None, horizon=1e4)


class Enumerated:
    """Draws every move exactly as often as an engine's probabilities say, and says those."""

    max_new_tokens, temperature = 1, 1.0

    def __init__(self, counts, clip, says=True):
        self.counts, self.importance_clip, self.says = torch.tensor(counts), clip, says

    def draw(self, policy, prompt_ids_BP, prompt_mask_BP, seeds):
        ids = torch.repeat_interleave(torch.arange(8), self.counts)[:, None]
        logps = (self.counts / 64).log()[ids] if self.says else None
        return Drawn(ids, torch.ones_like(ids).bool(), ids[:, 0] == 1, logps)


def rollout(sampler):
    """64 completions of the bandit policy that thinks PI, drawn by `sampler` and scored by the real engine."""
    policy = with_critic(bandit_model(PI_V.tolist()), "shared")
    reference = with_critic(bandit_model([1 / 8] * 8), "none")
    actors = RolloutModels(reference, as_it_is(Table(F.tolist())), sampler, 64, move_tokenizer(), None)
    prompts, ids = [Prompt(str(i), "move2") for i in range(64)], torch.full((64, 1), 2)
    drawn = draw(policy, sampler, prompts, ids, ids.bool(), range(64))
    return score(drawn, policy, actors, seed=0, with_preferences=False)[0]


def weighted_mean(scored):
    return (scored.importance_NGT.squeeze(-1) * scored.scores_NG).mean()


def test_weights_make_a_mean_over_the_engines_draws_one_over_the_policys():
    scored = rollout(Enumerated(MU, clip=100.0))
    torch.testing.assert_close(scored.scores_NG.mean(), (MU_V * F).sum())  # biased without them
    torch.testing.assert_close(weighted_mean(scored), (PI_V * F).sum(), atol=1e-6, rtol=0)
    assert (PI_V * F).sum() - (MU_V * F).sum() < -0.2


def test_the_clip_costs_the_bias_that_it_is_said_to_cost():
    # pi / mu is 2 for moves 3 and 7 and at most 1 for the others. At C = 1.5 the weighted mean lacks
    # (8 - 1.5 * 4) / 64 * 0.0 + (16 - 1.5 * 8) / 64 * -1.0 = -1 / 16
    scored = rollout(Enumerated(MU, clip=1.5))
    torch.testing.assert_close(weighted_mean(scored), (PI_V * F).sum() + 1 / 16, atol=1e-6, rtol=0)
    assert scored.importance_NGT.max() == 1.5


def test_what_is_logged_says_how_far_the_engine_is_from_the_policy():
    sampler = Enumerated(MU, clip=1.5)
    row = measured(rollout(sampler), sampler.importance_clip)
    # the weights' mean is 1 - sum max(pi - C mu, 0) = 1 - (2 + 4) / 64; least is move 0's or 2's 1/2; moves 3, 7 are 12 of 64
    distance = (MU_V * (PI_V / MU_V).log().abs()).sum().item()
    wanted = {
        "sampler/importance_mean": 1 - 6 / 64, "sampler/importance_min": 0.5, "sampler/importance_max": 1.5,
        "sampler/importance_clipped": 12 / 64, "sampler/logp_difference": distance,
        "sampler/logp_difference_max": torch.tensor(2.0).log().item(),
    }  # fmt: skip
    assert row == pytest.approx(wanted, abs=1e-5)


def gradient(scored):
    """Of PPO's loss by the logits of the policy that drew, the scores as advantages."""
    logits = PI_V.log().requires_grad_()
    logps = logits.log_softmax(-1)[scored.ids_NGT]
    zero = torch.zeros_like(scored.logps_NGT)
    credit = PPO_NUMBERS.select(scored, KL_01, 0.1).credit
    credit |= {"advantages": scored.scores_NG[..., None], "old_values": zero, "returns": zero}
    batch = Batch(scored.prompt_ids_NP, scored.prompt_mask_NP, scored.ids_NGT, scored.mask_NGT, credit, 64, 64)
    fields = dict.fromkeys(PolicyOutput.__dataclass_fields__)
    output = PolicyOutput(**fields | {"logps_NKT": logps, "values_NKT": zero})
    PPO_NUMBERS.loss(output, batch, KL_01, 0.1)[0].backward()
    return logits.grad


PPO_NUMBERS = PPO(
    num_samples=1, num_epochs=1, num_minibatches=1, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
    value_coefficient=0.1, entropy_coefficient=0.0, critic="shared", whiten_rewards=False,
)  # fmt: skip


def test_ppos_gradient_on_the_engines_draws_is_the_one_on_the_policys_own():
    own = gradient(rollout(Enumerated(PI, clip=None, says=False)))
    torch.testing.assert_close(gradient(rollout(Enumerated(MU, clip=100.0))), own, atol=1e-6, rtol=0)
    # the policy gradient by hand: -pi (F - E_pi[F])
    torch.testing.assert_close(own, -PI_V * (F - (PI_V * F).sum()), atol=1e-6, rtol=0)
    ignored = gradient(rollout(Enumerated(MU, clip=None, says=False)))
    assert (ignored - own).abs().max() > 0.05


def test_where_the_policy_itself_draws_there_are_no_weights_and_nothing_is_logged():
    scored = rollout(Transformers(1, 1.0, 64))
    assert scored.drawn_logps_NGT is None and scored.importance_NGT is None
    assert measured(scored, Transformers(1, 1.0, 64).importance_clip) == {}
    assert "importance" not in PPO_NUMBERS.select(scored, KL_01, 0.1).credit


def test_a_token_that_the_engine_nearly_excluded_weighs_no_more_than_the_clip():
    weights = truncated_weights(torch.tensor([-0.1, -0.1, -900.0]), torch.tensor([-200.0, -0.1, -0.1]), 2.0)
    assert weights.tolist() == [2.0, 1.0, 0.0]
