"""The decode loop beside transformers' `generate`: the same tokens, and what the policy says of them."""

import copy

import pytest
import torch
from peft import LoraConfig
from trunks import KINDS, small_lm

from rlx.engine.forward import logprobs_of
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import without_adapters
from rlx.sampler import transformers as by_transformers
from rlx.sampler.transformers import Transformers

LENGTHS = [3, 7, 1, 5] * 8
PROMPTS = torch.stack([torch.nn.functional.pad(torch.arange(2, 2 + n), (7 - n, 0)) for n in LENGTHS])
MASK = PROMPTS != 0
SEEDS = list(range(100, 132))
SAMPLER = Transformers(max_new_tokens=40, temperature=0.9, batch_size=32)


def by_generate(monkeypatch, policy):
    with monkeypatch.context() as patch:
        patch.setattr(by_transformers, "own", lambda trunk: False)
        drawn = SAMPLER.draw(policy, PROMPTS, MASK, SEEDS)
    assert drawn.own is None
    return drawn


def agree(policy, drawn, other, tolerance=1e-5):
    assert torch.equal(drawn.ids_BT, other.ids_BT) and torch.equal(drawn.mask_BT, other.mask_BT)
    assert torch.equal(drawn.ended_B, other.ended_B) and 4 < drawn.ended_B.sum() < 32
    said = logprobs_of(policy, PROMPTS, MASK, drawn.ids_BT, drawn.mask_BT, 0.9, 32, entropy=True)
    assert (drawn.own.logps_BT - said.logps_BT).abs().max() < tolerance
    assert (drawn.own.entropies_BT - said.entropies_BT).abs().max() < tolerance
    return said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_draws_the_tokens_of_generate_and_says_the_policys_log_probabilities(kind, dtype, monkeypatch):
    policy = with_critic(small_lm(kind).to(dtype), "shared")
    torch.nn.init.normal_(policy.value_head.weight, std=0.2)
    drawn = SAMPLER.draw(policy, PROMPTS, MASK, SEEDS)
    said = agree(policy, drawn, by_generate(monkeypatch, policy))
    assert (drawn.own.values_BT - said.values_BT).abs().max() < 1e-5


def test_adapters_count_and_the_policy_without_them_is_drawn_without_them(monkeypatch):
    lora = LoraConfig(r=2, lora_alpha=1, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    policy = with_adapters(with_critic(small_lm("llama"), "shared"), lora)
    own = SAMPLER.draw(policy, PROMPTS, MASK, SEEDS)
    agree(policy, own, by_generate(monkeypatch, policy))
    free = without_adapters(policy)
    drawn = SAMPLER.draw(free, PROMPTS, MASK, SEEDS)
    agree(free, drawn, by_generate(monkeypatch, free))
    assert drawn.own.values_BT is None and not torch.equal(own.ids_BT, drawn.ids_BT)


def test_values_of_a_critic_with_a_trunk_of_its_own_are_left_to_it():
    policy = with_critic(small_lm("llama"), "separate")
    drawn = SAMPLER.draw(policy, PROMPTS, MASK, SEEDS)
    assert drawn.own.logps_BT.abs().sum() > 0 and drawn.own.values_BT is None


def test_a_model_whose_generation_config_bends_what_is_drawn_is_left_to_generate():
    policy = small_lm("llama")
    policy.generation_config.repetition_penalty = 1.5
    assert SAMPLER.draw(policy, PROMPTS, MASK, SEEDS).own is None
    assert SAMPLER.draw(small_lm("gpt2"), PROMPTS, MASK, SEEDS).own is None


def test_draws_are_bit_for_bit_repeated_and_do_not_change_the_policy():
    policy = with_critic(small_lm("llama"), "shared").train()
    before = copy.deepcopy(policy.state_dict())
    first, second = (SAMPLER.draw(policy, PROMPTS, MASK, SEEDS) for _ in range(2))
    assert torch.equal(first.own.logps_BT, second.own.logps_BT) and policy.training
    assert all(torch.equal(x, before[name]) for name, x in policy.state_dict().items())
