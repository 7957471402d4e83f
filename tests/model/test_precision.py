"""What bfloat16 may round and what it may not."""

import copy

import pytest
import torch
from peft import LoraConfig
from transformers import (
    GPT2LMHeadModel,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from rlx.model import precision
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.precision import beside_masters, cast
from rlx.model.score_head import last_hidden, score_tokens

LORA = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def reward_model() -> LlamaForSequenceClassification:
    torch.manual_seed(0)
    size = dict(vocab_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
    return LlamaForSequenceClassification(LlamaConfig(**size, num_labels=1, pad_token_id=0)).eval()


def rows(num=64, length=20):
    ids = torch.randint(2, 16, (num, length), generator=torch.Generator().manual_seed(0))
    return ids, torch.ones_like(ids).bool()


def test_a_cast_model_is_the_one_that_is_saved_and_loaded_again(tmp_path):
    """Its rotary frequencies stay in float32 as from_pretrained has them; `model.to` would round them."""
    model = cast(reward_model(), torch.bfloat16)
    model.save_pretrained(tmp_path)
    again = LlamaForSequenceClassification.from_pretrained(tmp_path).eval()
    assert again.dtype == torch.bfloat16
    assert torch.equal(score_tokens(model, *rows()), score_tokens(again, *rows()))
    assert not torch.equal(score_tokens(reward_model().to(torch.bfloat16), *rows()), score_tokens(again, *rows()))


def test_scores_have_the_bits_of_float32_where_the_model_is_bfloat16():
    """A number of bfloat16 is itself after rounding to 8 bits; 64 scores that are not rounded are none of those."""
    scores = score_tokens(cast(reward_model(), torch.bfloat16), *rows())
    assert scores.dtype == torch.float32 and (scores != scores.bfloat16().float()).sum() > 60
    assert len(scores.unique()) == 64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_score_does_not_depend_on_the_autocast_of_the_policy(dtype):
    """Its scale was measured without; and a gold model of float32 is to stay one beside a policy of bfloat16."""
    model = cast(reward_model(), dtype)
    without = score_tokens(model, *rows())
    with autocast():
        assert torch.equal(score_tokens(model, *rows()), without)


def test_in_float32_the_head_is_what_it_was_to_the_bit():
    model = reward_model()
    assert torch.equal(score_tokens(model, *rows()), model.score(last_hidden(model, *rows())).squeeze(-1))


@pytest.mark.parametrize("adapters", [False, True])
def test_values_are_float32_and_not_rounded(tiny_llama, adapters):
    policy = with_adapters(with_critic(cast(tiny_llama, torch.bfloat16), "shared"), LORA if adapters else None).eval()
    heads = [x for name, x in policy.named_parameters() if "value_head" in name]
    assert heads and {x.dtype for x in heads} == {torch.float32}
    with torch.no_grad():
        for x in heads:
            x.normal_(generator=torch.Generator().manual_seed(0))
    ids, mask = rows()
    with autocast(), torch.no_grad():
        values = policy(input_ids=ids, attention_mask=mask.long(), completion_length=10)["values"]
    assert values.dtype == torch.float32 and (values != values.bfloat16().float()).float().mean() > 0.95


@pytest.mark.parametrize("kind", [LlamaForCausalLM, GPT2LMHeadModel, GPTNeoXForCausalLM])
def test_a_reference_beside_masters_of_the_same_values_says_what_they_say_to_the_bit(kind):
    """Embeddings with and without ties and positions, RMS and layer norms, biases, GPT-2's transposed products."""
    torch.manual_seed(0)
    size = dict(vocab_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
    if kind is GPT2LMHeadModel:
        size = dict(vocab_size=16, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    masters = kind(kind.config_class(**size, initializer_range=0.3)).eval()
    disk = cast(copy.deepcopy(masters), torch.bfloat16)
    masters.load_state_dict(disk.state_dict())
    ids, mask = rows(num=8)
    inputs = {"input_ids": ids, "attention_mask": mask.long(), "completion_length": 10}
    models = [with_critic(x, "none") for x in (masters, copy.deepcopy(disk), beside_masters(disk))]
    with autocast(), torch.no_grad():
        policy, rounded, reference = (model(**inputs)["logps"] for model in models)
    assert torch.equal(policy, reference) and not torch.equal(policy, rounded)
    products = [x.dtype for x in models[2].parameters() if x.dim() == 2]
    assert products.count(torch.bfloat16) >= 8  # at least four a layer: what is large stays small


def test_log_probabilities_of_bfloat16_are_within_its_rounding_and_sum_to_one(tiny_llama):
    """Logits near 1 are off by up to 2^-8; what is made of them is not rounded again, so that the probabilities of all 16
    tokens add up to 1 to float32's precision."""
    masters = with_critic(tiny_llama, "none").eval()
    weights = cast(copy.deepcopy(masters), torch.bfloat16)
    ids, mask = rows(num=4)
    ids = ids[:, None].repeat(1, 16, 1)
    ids[..., -1] = torch.arange(16)
    inputs = {"input_ids": ids.flatten(0, 1), "attention_mask": mask.long().repeat_interleave(16, 0)}
    with torch.no_grad():
        exact = masters(**inputs, completion_length=10)["logps"]
        found = [weights(**inputs, completion_length=10)["logps"]]
        with autocast():
            found.append(masters(**inputs, completion_length=10)["logps"])
    for logps in found:
        assert logps.dtype == torch.float32
        assert 0 < (logps - exact).abs().max() < 2**-6
        torch.testing.assert_close(logps[:, -1].view(4, 16).exp().sum(-1), torch.ones(4), atol=1e-5, rtol=0)


def test_bfloat16_rounds_as_much_as_the_module_says():
    numbers = 1 + 7 * torch.rand(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    error = 100 * ((numbers.bfloat16().double() - numbers) / numbers).abs()  # %
    assert f"{error.max():.2f}".lstrip("0") == ".39" and f"{error.mean():.3f}".lstrip("0") == ".135"
    assert "(.39 %), by .135 %" in (precision.__doc__ or "")
