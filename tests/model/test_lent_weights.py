"""Frozen weights that a policy with adapters lends: the same memory, the same numbers, and only where the values agree."""

import copy
import gc
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from rlx.model import lent_weights
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.lent_weights import lend, share_frozen

LORA = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM")


def learnt(model, critic="shared") -> PeftModel:
    policy = with_adapters(with_critic(model, critic), LORA)
    assert isinstance(policy, PeftModel)
    for name, x in policy.named_parameters():
        if x.requires_grad:
            torch.nn.init.normal_(x, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return policy


def places(model) -> set[int]:
    return {x.data_ptr() for x in model.parameters()}


def test_a_lender_that_is_gone_lends_nothing(tiny_llama, tmp_path):
    lend(learnt(tiny_llama), tmp_path)
    gc.collect()
    assert tmp_path.resolve() not in lent_weights._LENDERS
    other = copy.deepcopy(tiny_llama)
    assert lent_weights.borrowed(other, tmp_path) == 0


def test_a_critic_with_its_own_trunk_shares_what_is_frozen_and_learns_its_own(tiny_llama, tmp_path):
    ids = torch.tensor([[2, 3, 4, 8, 9, 10, 1]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_length": 3}
    policy = learnt(tiny_llama, "separate")
    before = policy(**inputs)
    freed = lend(policy, tmp_path)
    inner: Any = policy.get_base_model()
    frozen = {name: x for name, x in inner.base_model.named_parameters() if not x.requires_grad}
    assert freed == sum(x.numel() * x.element_size() for x in frozen.values())
    critic = dict(inner.critic.named_parameters())
    assert all(critic[name].data_ptr() == x.data_ptr() for name, x in frozen.items())
    after = policy(**inputs)
    for name in before:
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=1e-6)
    after["values"].sum().backward()
    trained = [x.grad for name, x in inner.named_parameters() if name.startswith("critic.") and x.requires_grad]
    assert all(grad is not None for grad in trained)
    assert all(x.grad is None for x in frozen.values())


def test_values_types_and_what_learns_stay_apart(tiny_llama):
    other = copy.deepcopy(tiny_llama).requires_grad_(False)
    source = copy.deepcopy(tiny_llama).requires_grad_(False)
    first, second, third = list(dict(source.named_parameters()))[:3]
    with torch.no_grad():
        other.get_parameter(first).view(-1)[0] += 1
    other.get_parameter(second).data = other.get_parameter(second).data.double()
    source.get_parameter(third).requires_grad_(True)
    share_frozen(other, source)
    shared = {name for name, x in other.named_parameters() if x.data_ptr() in places(source)}
    assert shared == set(dict(source.named_parameters())) - {first, second, third}
    assert share_frozen(other, source) == 0  # a second time, nothing is left to free
