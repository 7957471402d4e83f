"""Every proxy is on one scale: mean 0 and standard deviation 1 on the reference set, whatever its members are."""

import numpy as np
import pytest
import torch
from made_of import made_of

from rlx.core.error import UserError
from rlx.model.score_head import load_reward_model, score_rows
from rlx.optimizer._pairs import bradley_terry
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.reward.ensemble_uwo import EnsembleUWO
from rlx.reward.ensemble_wco import EnsembleWCO
from rlx.reward.single import Single
from rlx.reward.warm import WARM

REWARDS = [EnsembleMean(3), EnsembleWCO(3), EnsembleUWO(3, 0.5, 0), EnsembleUWO(3, 2.0, 1), WARM(3)]


@pytest.mark.parametrize("reward", REWARDS, ids=lambda reward: type(reward).__name__)
def test_the_proxy_has_mean_0_and_standard_deviation_1_on_the_reference_set(reward, member, reference_rows):
    scorer = reward.scorer(made_of([member(i, scale=1.0 + i) for i in range(3)]))
    proxy = scorer.aggregate(scorer.member_scores(*reference_rows)).double()
    assert abs(proxy.mean()) < 1e-5 and abs(proxy.std(correction=0) - 1) < 1e-5


@pytest.mark.parametrize("reward", [EnsembleMean(1), EnsembleWCO(1), EnsembleUWO(1, 0.5, 0), WARM(1)])
def test_of_one_member_every_reward_is_that_member_bit_for_bit(reward, member, drawn):
    one, alone = (r.scorer(made_of([member(0)])) for r in (reward, Single(0)))
    scores = one.member_scores(*drawn)
    assert torch.equal(one.aggregate(scores), alone.aggregate(scores)) and torch.equal(scores[0], one.aggregate(scores))
    assert one.raw_std == alone.raw_std


def test_a_reward_says_which_reward_models_it_is_made_of():
    assert list(Single(2).members) == [2]
    for reward in REWARDS:
        assert list(reward.members) == [0, 1, 2]
    assert Single(0).scores_each_member and EnsembleMean(2).scores_each_member and not WARM(2).scores_each_member


@pytest.mark.parametrize("reward", [Single(1), WARM(1)])
def test_bradley_terry_on_the_proxy_is_the_members_own_probability(reward, member, drawn):
    path = member(0, scale=3.0)
    scorer = reward.scorer(made_of([path]))
    proxy = scorer.aggregate(scorer.member_scores(*drawn)).double()
    prompt_ids, prompt_mask, ids, mask = drawn
    rows = [
        [*p[p_mask].tolist(), *c[c_mask].tolist()]
        for p, p_mask, c, c_mask in zip(prompt_ids, prompt_mask, ids, mask, strict=True)
    ]
    raw = score_rows(load_reward_model(path), rows).double().numpy()
    want = 1 / (1 + np.exp(raw[None] - raw[:, None]))
    assert np.abs(bradley_terry(scorer.raw_std * proxy[None])[0].numpy() - want).max() < 1e-6
    assert np.abs(bradley_terry(proxy[None])[0].numpy() - want).max() > 1e-2  # z-scores are another oracle


def test_the_unit_of_a_mean_of_members_of_one_spread_is_that_of_the_mean_of_their_raw_scores(member, drawn):
    # z_i = (r_i - m_i) / s with one s: s * (mean of z) is the mean of r less a constant, whatever the scale of the mean.
    paths = [member(i) for i in range(3)]
    scorer = EnsembleMean(3).scorer(made_of(paths))
    for one in scorer.members:
        object.__setattr__(one, "std", 0.7)
    scores = scorer.member_scores(*drawn)
    raw = 0.7 * scores.mean(0)
    proxy = scorer.raw_std * scorer.aggregate(scores)
    torch.testing.assert_close(proxy - proxy[0], raw - raw[0])


def test_of_other_aggregates_the_unit_is_the_mean_raw_spread_times_that_of_the_aggregate(member, reference_rows):
    scorer = EnsembleWCO(2).scorer(made_of([member(0), member(1, scale=2.0)]))
    spreads = [one.std for one in scorer.members]  # pyright: ignore
    aggregate = scorer.member_scores(*reference_rows).amin(0).double()
    assert scorer.raw_std == pytest.approx(float(aggregate.std(correction=0)) * sum(spreads) / 2, rel=1e-5)


def test_members_that_cancel_each_other_are_refused(member, monkeypatch):
    monkeypatch.setattr("rlx.reward.ensemble_mean.ensemble_mean", lambda scores_MB: scores_MB[0] * 0)
    with pytest.raises(UserError, match="one score"):
        EnsembleMean(2).scorer(made_of([member(0), member(1)]))
