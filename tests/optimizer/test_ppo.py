import torch

from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout
from rlx.optimizer.ppo import (
    PPO,
    clipped_policy_loss,
    clipped_value_loss,
    generalized_advantages,
    token_rewards,
    whitened,
)
from rlx.regularizer.kl import KL

NUMBERS = dict(
    num_samples=1,
    num_epochs=4,
    num_minibatches=1,
    gamma=1.0,
    lam=0.95,
    clip=0.2,
    value_clip=0.2,
    value_coefficient=0.1,
    entropy_coefficient=0.0,
    critic="shared",
    whiten_rewards=False,
)
KL_01 = KL(beta=0.1, target=None, horizon=10000)


def scored(num=4, length=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(length)[None, None] < torch.tensor([5, 3, 1, 4])[:num, None, None]
    ids = torch.randint(2, 9, (num, 1, length), generator=g)
    logps, ref, values = (torch.randn(num, 1, length, generator=g) * mask for _ in range(3))
    return ScoredRollout(
        prompts=(),
        prompt_ids_NP=ids[:, 0, :2],
        prompt_mask_NP=torch.ones(num, 2, dtype=torch.bool),
        ids_NGT=ids,
        mask_NGT=mask,
        ended_NG=torch.tensor([True, True, True, False])[:num, None],
        logps_NGT=logps,
        ref_logps_NGT=ref,
        scores_NG=(scores := torch.randn(num, 1, generator=g)),
        proxy_NG=scores,
        raw_std=1.0,
        member_scores_MNG=torch.zeros(1, num, 1),
        values_NGT=values,
        preferences_NGG=None,
        seed=0,
    )


def batch_of(selection):
    return Batch(
        selection.prompt_ids_NP,
        selection.prompt_mask_NP,
        selection.ids_NKT,
        selection.mask_NKT,
        selection.credit,
        num_tokens=int(selection.mask_NKT.sum()),
        num_prompts=len(selection.ids_NKT),
    )


def test_policy_loss_is_the_pessimistic_one_of_clipped_and_unclipped():
    logps = torch.tensor([2.0, 0.5, 2.0, 0.5]).log()  # ratios to old logps of 0
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    # ratio 2, A 1: -min(2, 1.2); ratio .5, A 1: -min(.5, .8); ratio 2, A -1: max(2, 1.2); ratio .5, A -1: max(.5, .8)
    torch.testing.assert_close(
        clipped_policy_loss(logps, torch.zeros(4), advantages, 0.2), torch.tensor([-1.2, -0.5, 2.0, 0.8])
    )


def test_value_loss_is_never_below_the_unclipped_one():
    values, old, returns = torch.randn(3, 100, generator=torch.Generator().manual_seed(1))
    assert (clipped_value_loss(values, old, returns, 0.2) >= (values - returns).square() / 2).all()
    # V = 1 moved by 1 from 0, clipped to 0.2; R = 1: max(0, (0.2 - 1)^2) / 2
    torch.testing.assert_close(
        clipped_value_loss(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0), 0.2), torch.tensor(0.32)
    )


def test_advantages_of_two_tokens_by_hand():
    # delta_1 = 3 - 2 = 1; delta_0 = 1 + 0.9 * 2 - 0.5 = 2.3; A_0 = 2.3 + 0.9 * 0.5 * 1 = 2.75; the third token is padding
    rewards, values = torch.tensor([[1.0, 3.0, 7.0]]), torch.tensor([[0.5, 2.0, 7.0]])
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        generalized_advantages(rewards, values, mask, 0.9, 0.5), torch.tensor([[2.75, 1.0, 0.0]])
    )


def test_advantages_at_lambda_one_are_the_sum_of_future_rewards_minus_the_value():
    s = scored()
    rewards, values, mask = s.logps_NGT[:, 0], s.values_NGT[:, 0], s.mask_NGT[:, 0]
    future = rewards.flip(-1).cumsum(-1).flip(-1)
    torch.testing.assert_close(generalized_advantages(rewards, values, mask, 1.0, 1.0), (future - values) * mask)


def test_advantages_at_lambda_zero_are_the_one_step_errors():
    s = scored()
    rewards, values, mask = s.logps_NGT[:, 0], s.values_NGT[:, 0], s.mask_NGT[:, 0]
    after = torch.cat([values[:, 1:], torch.zeros(4, 1)], -1)
    torch.testing.assert_close(
        generalized_advantages(rewards, values, mask, 1.0, 0.0), (rewards + after - values) * mask
    )


def test_whitening_gives_mean_zero_and_unit_variance_on_the_mask():
    s = scored()
    x = whitened(s.logps_NGT, s.mask_NGT, shift_mean=True)
    kept = x[s.mask_NGT]
    torch.testing.assert_close(kept.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(kept.std(), torch.tensor(1.0), atol=1e-5, rtol=0)
    assert (x[~s.mask_NGT] == 0).all()
    unshifted = whitened(s.logps_NGT, s.mask_NGT, shift_mean=False)[s.mask_NGT]
    torch.testing.assert_close(unshifted.mean(), s.logps_NGT[s.mask_NGT].mean())


def test_token_rewards_sum_to_score_minus_penalty_with_the_score_at_the_last_token():
    penalty, mask = torch.tensor([[0.1, 0.2, 9.0]]), torch.tensor([[True, True, False]])
    torch.testing.assert_close(token_rewards(torch.tensor([5.0]), penalty, mask), torch.tensor([[-0.1, 4.8, 0.0]]))


def test_rlhf_reward_is_score_minus_beta_times_kl():
    s = scored()
    metrics = PPO(**NUMBERS).select(s, KL_01, 0.1).metrics
    kl = (s.logps_NGT - s.ref_logps_NGT).sum(-1).mean().item()
    assert abs(metrics["objective/rlhf_reward"] - (s.scores_NG.mean().item() - 0.1 * kl)) < 1e-6


def test_first_pass_has_ratio_one_and_clips_nothing():
    s = scored()
    ppo = PPO(**NUMBERS)
    selection = ppo.select(s, KL_01, 0.1)
    output = PolicyOutput(s.logps_NGT, None, s.values_NGT, None)
    loss, metrics = ppo.loss(output, batch_of(selection), KL_01, 0.1)
    assert abs(metrics["val/ratio"].item() - 1) < 1e-6
    assert metrics["policy/clipfrac_avg"] == 0 and metrics["policy/approxkl_avg"] == 0
    # whitened advantages have mean 0 and the values are their own old values: only GAE's returns - values is left
    advantages = (selection.credit["returns"] - s.values_NGT)[s.mask_NGT]
    torch.testing.assert_close(loss, 0.1 * advantages.square().mean() / 2, atol=1e-6, rtol=1e-5)


def test_padding_changes_nothing():
    s = scored()
    ppo = PPO(**NUMBERS)

    def padded(x):
        return torch.nn.functional.pad(x, (0, 3))

    names = ("ids_NGT", "mask_NGT", "logps_NGT", "ref_logps_NGT", "values_NGT")
    wide = ScoredRollout(**{**vars(s), **{name: padded(getattr(s, name)) for name in names}})
    losses = []
    for one in (s, wide):
        selection = ppo.select(one, KL_01, 0.1)
        output = PolicyOutput(one.logps_NGT * 1.1, None, one.values_NGT * 0.9, None)
        losses.append(ppo.loss(output, batch_of(selection), KL_01, 0.1)[0])
    torch.testing.assert_close(*losses)
