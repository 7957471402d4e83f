"""What a policy says of its completions while it draws them stands for the pass that would ask it again."""

from dataclasses import replace

import pytest
import torch
from bandit import Table, as_it_is, move_tokenizer
from trunks import small_lm

from rlx.core.world import Prompt
from rlx.engine import experience
from rlx.engine.experience import RolloutModels, draw, score
from rlx.model.actor_critic import with_critic
from rlx.sampler import transformers
from rlx.sampler.transformers import Transformers

SAMPLER = Transformers(max_new_tokens=9, temperature=0.8, batch_size=64)
PROMPTS, IDS = [Prompt(str(i), "") for i in range(4)], torch.arange(2, 14).view(4, 3)


def policy_of(critic):
    policy = with_critic(small_lm("llama"), critic)
    if critic != "none":
        torch.nn.init.normal_(policy.value_head.weight, std=0.2)
    return policy


def scored(policy, sampler=SAMPLER):
    table = as_it_is(Table([0.0] * 24))
    actors = RolloutModels(policy_of("none"), table, sampler, 64, move_tokenizer(), None)
    drawn = draw(policy, SAMPLER, PROMPTS, IDS, torch.ones_like(IDS).bool(), range(8))
    return score(drawn, policy, actors, seed=0, with_preferences=False)


@pytest.mark.parametrize("critic", ["none", "shared", "half", "separate"])
def test_a_policy_that_drew_is_not_asked_again_and_its_rollout_is_the_same(critic, monkeypatch):
    policy, asked = policy_of(critic), []

    def counted(model, *given, **more):
        asked.append(model is policy)
        return logprobs_of(model, *given, **more)

    logprobs_of = experience.logprobs_of
    monkeypatch.setattr(experience, "logprobs_of", counted)
    own, entropy = scored(policy)
    assert asked == [False]  # the reference alone
    monkeypatch.setattr(transformers, "own", lambda trunk: False)
    other, other_entropy = scored(policy)
    assert asked == [False, True, False] and own.own is None and other.own is None
    assert torch.equal(own.ids_NGT, other.ids_NGT) and torch.equal(own.mask_NGT, other.mask_NGT)
    torch.testing.assert_close(own.logps_NGT, other.logps_NGT, atol=1e-5, rtol=0)
    torch.testing.assert_close(entropy, other_entropy, atol=1e-5, rtol=0)
    if critic == "none":
        assert own.values_NGT is None and other.values_NGT is None
    else:
        assert own.values_NGT is not None and own.values_NGT.std() > 0.1
        torch.testing.assert_close(own.values_NGT, other.values_NGT, atol=1e-5, rtol=0)


def test_what_was_said_at_another_temperature_is_not_used():
    policy = policy_of("shared")
    warm, _ = scored(policy)
    other, _ = scored(policy, replace(SAMPLER, temperature=1.3))
    assert torch.equal(warm.ids_NGT, other.ids_NGT)
    assert (warm.logps_NGT - other.logps_NGT).abs().max() > 0.1
