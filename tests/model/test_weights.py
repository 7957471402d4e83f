import copy

import pytest
import torch
from peft import LoraConfig
from transformers import LlamaForCausalLM

from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import without_adapters
from rlx.model.precision import cast
from rlx.model.weights import plain_weights

LORA = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")


def adapted(model, critic):
    """With adapters that have learnt something."""
    policy = with_adapters(with_critic(model, critic), LORA)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, x in policy.named_parameters():
            if ".lora_B." in name:
                x.copy_(torch.randn(x.shape, generator=generator) / 10)
    return policy


@pytest.mark.parametrize("critic", ["none", "shared", "separate"])
def test_a_critic_is_left_out_and_everything_else_is_there_as_it_is(tiny_llama, critic):
    wanted = {name: x.clone() for name, x in tiny_llama.state_dict().items()}
    found = dict(plain_weights(with_critic(tiny_llama, critic)))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], x) for name, x in wanted.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_adapters_are_added_in_as_merging_them_would_and_the_policy_keeps_its_weights_to_the_bit(
    tiny_llama, critic, dtype
):
    plain = set(tiny_llama.state_dict())
    policy = adapted(cast(tiny_llama, dtype), critic)
    before = {name: x.clone() for name, x in policy.state_dict().items()}
    found = dict(plain_weights(policy))
    assert all(torch.equal(policy.state_dict()[name], x) for name, x in before.items())
    merged = copy.deepcopy(policy).merge_and_unload().state_dict()
    assert found.keys() == plain
    for name, x in found.items():
        torch.testing.assert_close(x, merged[name], atol=0, rtol=0)
    moved = found["model.layers.0.mlp.up_proj.weight"] - before[
        "base_model.model.model.layers.0.mlp.up_proj.base_layer.weight"
    ]  # fmt: skip
    assert moved.abs().max() > 0.01


def test_a_policy_without_its_adapters_has_the_weights_that_they_adapt(tiny_llama):
    wanted = {name: x.clone() for name, x in tiny_llama.state_dict().items()}
    found = dict(plain_weights(without_adapters(adapted(tiny_llama, "separate"))))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], x) for name, x in wanted.items())


def test_tied_weights_come_once(tiny_llama):
    config = copy.deepcopy(tiny_llama.config)
    config.tie_word_embeddings = True
    names = [name for name, _ in plain_weights(LlamaForCausalLM(config))]
    assert "model.embed_tokens.weight" in names and "lm_head.weight" not in names and len(names) == len(set(names))
