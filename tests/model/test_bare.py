"""A policy without its adapters says what the model says that it was made from."""

import copy

import pytest
import torch
from peft import LoraConfig, PeftModel

from rlx.engine.forward import logprobs_of, reference_logits
from rlx.model import output_head
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import substituted_by, without_adapters
from rlx.sampler.transformers import Transformers

IDS = torch.tensor([[0, 0, 5, 6, 7, 1, 0], [2, 3, 4, 8, 9, 10, 1]])
MASK = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1]]).bool()
ROWS = (IDS[:, :4], MASK[:, :4], IDS[:, 4:], MASK[:, 4:])


def same(x, y):
    # Weights at another address may be multiplied in another order.
    torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def learnt(model, critic="shared") -> PeftModel:
    """A policy on `model` whose adapters have moved, in train mode."""
    lora = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM")
    policy = with_adapters(with_critic(model, critic), lora)
    for name, x in policy.named_parameters():
        if x.requires_grad:
            torch.nn.init.normal_(x, generator=torch.Generator().manual_seed(len(name)))
    assert isinstance(policy, PeftModel)
    return policy.train()


@pytest.mark.parametrize("critic", ["none", "shared", "separate"])
def test_it_says_and_draws_what_a_second_copy_of_the_start_would(tiny_llama, critic):
    start = with_critic(copy.deepcopy(tiny_llama), "none").eval()
    policy = learnt(tiny_llama, critic)
    bare = without_adapters(policy)
    there, here = logprobs_of(start, *ROWS, 1.0, 64, entropy=True), logprobs_of(bare, *ROWS, 1.0, 64, entropy=True)
    same(there.logps_BT, here.logps_BT)
    same(there.entropies_BT, here.entropies_BT)
    assert here.values_BT is None and policy.training
    moved = logprobs_of(policy, *ROWS, 1.0, 64).logps_BT
    assert (moved - here.logps_BT).abs().max() > 0.01
    sampler = Transformers(max_new_tokens=5, temperature=1.0, batch_size=2)
    drawn = [sampler.draw(model, *ROWS[:2], seeds=[3, 4]).ids_BT for model in (start, bare)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("chunk", [2**25, 3 * 16])
def test_a_loss_may_compare_the_policy_with_itself_without_adapters(tiny_llama, monkeypatch, chunk):
    """As SuperHF does: the same value and the same gradients as beside a second copy, in chunks or not."""
    monkeypatch.setattr(output_head, "CHUNK", chunk)
    start = with_critic(copy.deepcopy(tiny_llama), "none").eval()
    policy = learnt(tiny_llama)
    inputs, asked = {"input_ids": IDS, "attention_mask": MASK.long()}, {"completion_length": 3, "temperature": 0.9}

    def kl(log_p, log_q):
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    found = []
    for reference in (start, without_adapters(policy)):
        policy.zero_grad()
        compared = policy(**inputs, **asked, against=reference_logits(reference, inputs, kl, **asked))["compared"]
        compared.sum().backward()
        grads = {name: x.grad.clone() for name, x in policy.named_parameters() if x.grad is not None}
        assert any("lora_A" in name for name in grads) and all("base_layer" not in name for name in grads)
        found.append((compared, grads))
    (one, grads), (other, others) = found
    assert grads.keys() == others.keys()
    for x, y in [(one, other), *((x, others[name]) for name, x in grads.items())]:
        same(x, y)
    assert compared[ROWS[3]].min() > 0.001


def test_a_separate_critic_learns_by_adapters_too_and_the_value_head_whole(tiny_llama):
    trained = {name for name, x in learnt(tiny_llama, "separate").named_parameters() if x.requires_grad}
    assert {name for name in trained if "lora_" not in name} == {
        f"base_model.model.value_head.modules_to_save.default.{x}" for x in ("weight", "bias")
    }
    assert any("critic" in name and "lora_A" in name for name in trained)


def test_adapters_start_from_their_own_seed_whatever_was_drawn_before(tiny_llama):
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    first = [with_adapters(with_critic(copy.deepcopy(tiny_llama), "none"), lora, seed) for seed in (1, 1, 2)]
    weights = [next(x for name, x in policy.named_parameters() if "lora_A" in name) for policy in first]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_while_a_copy_stands_in_for_the_policy_it_is_the_copy_that_is_asked(tiny_llama):
    policy = learnt(tiny_llama)
    bare, other = without_adapters(policy), copy.deepcopy(policy)
    before = logprobs_of(bare, *ROWS, 1.0, 64).logps_BT
    with torch.no_grad():
        other.get_output_embeddings().weight.mul_(2)
    with substituted_by(policy, other):
        assert not torch.allclose(logprobs_of(bare, *ROWS, 1.0, 64).logps_BT, before, atol=1e-3)
    same(logprobs_of(bare, *ROWS, 1.0, 64).logps_BT, before)
    assert len(list(policy.modules())) == len(list(other.modules()))
    with substituted_by(policy, policy):
        same(logprobs_of(bare, *ROWS, 1.0, 64).logps_BT, before)
