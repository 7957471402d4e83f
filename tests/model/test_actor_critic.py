import copy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaForCausalLM

from rlx.model.actor_critic import with_critic, without_critic, without_dropout

IDS = torch.tensor([[0, 0, 5, 6, 7, 1, 0], [2, 3, 4, 8, 9, 10, 1]])
MASK = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1]])


def make(kind):
    torch.manual_seed(0)
    if kind == "gpt2":  # absolute positions: wrong for left-padded rows unless positions count real tokens
        config = GPT2Config(
            vocab_size=16, n_embd=32, n_layer=2, n_head=2, n_positions=32, eos_token_id=1, bos_token_id=1
        )
        return GPT2LMHeadModel(config).eval()
    config = GPTNeoXConfig(
        vocab_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    return GPTNeoXForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])
def test_padding_on_the_left_changes_no_log_probability(kind):
    model = with_critic(make(kind), "none")
    with torch.no_grad():
        padded = model(input_ids=IDS[:1], attention_mask=MASK[:1], completion_length=3)["logps"][0, :2]
        bare = model(input_ids=IDS[:1, 2:6], attention_mask=MASK[:1, 2:6], completion_length=2)["logps"][0]
    torch.testing.assert_close(padded, bare, atol=1e-5, rtol=1e-5)


def test_it_stays_the_class_that_transformers_made_and_saves_as_such(tiny_llama, tmp_path):
    ids = IDS[1:]
    before = tiny_llama(ids).logits
    model = with_critic(tiny_llama, "shared")
    assert isinstance(model, LlamaForCausalLM) and type(model).__name__ == "LlamaForCausalLM"
    assert torch.equal(model(ids).logits, before)
    model.save_pretrained(tmp_path, state_dict=without_critic(model.state_dict()))
    again, info = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert torch.equal(again(ids).logits, before)
    assert not info["unexpected_keys"] and not info["missing_keys"]


@pytest.mark.parametrize("critic", ["shared", "half", "separate"])
def test_values_start_at_zero_and_belong_to_the_state_before_the_token(tiny_llama, critic):
    model = with_critic(tiny_llama, critic).eval()
    out = model(input_ids=IDS, attention_mask=MASK, completion_length=3)
    assert out["values"].shape == (2, 3) and (out["values"] == 0).all()
    with torch.no_grad():
        model.value_head.weight.normal_(generator=torch.Generator().manual_seed(0))
    changed = IDS.clone()
    changed[1, -1] = 12  # the last token is not part of any state that a value is of
    values = [model(input_ids=ids, attention_mask=MASK, completion_length=3)["values"][1] for ids in (IDS, changed)]
    torch.testing.assert_close(*values)
    changed[1, -2] = 12
    other = model(input_ids=changed, attention_mask=MASK, completion_length=3)["values"][1]
    torch.testing.assert_close(other[:2], values[0][:2])
    assert (other[2] - values[0][2]).abs() > 1e-4


def test_a_separate_critic_leaves_the_policys_trunk_alone(tiny_llama):
    shared, separate = with_critic(copy.deepcopy(tiny_llama), "shared"), with_critic(tiny_llama, "separate")
    for model, touched in ((shared, True), (separate, False)):
        with torch.no_grad():
            model.value_head.weight.fill_(0.1)
        model(input_ids=IDS, attention_mask=MASK, completion_length=3)["values"].sum().backward()
        assert (model.model.layers[0].mlp.up_proj.weight.grad is not None) == touched


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox"])
def test_a_critic_of_half_the_depth_has_the_first_layers_and_the_norm(kind, tiny_llama):
    model = with_critic(tiny_llama if kind == "llama" else make(kind), "half").eval()
    layers = next(part for part in model.critic.modules() if isinstance(part, torch.nn.ModuleList))
    whole = next(part for part in model.base_model.modules() if isinstance(part, torch.nn.ModuleList))
    assert (len(layers), len(whole)) == (1, 2) and model.config.num_hidden_layers == 2
    with torch.no_grad():
        model.value_head.weight.normal_(generator=torch.Generator().manual_seed(0))
        model.value_head.bias.fill_(0.3)
    states = model.critic(input_ids=IDS[1:], attention_mask=MASK[1:]).last_hidden_state
    own = model(input_ids=IDS[1:], attention_mask=MASK[1:], completion_length=3)["values"]
    torch.testing.assert_close(own, model.value_head(states[:, 3:6]).squeeze(-1), atol=1e-5, rtol=1e-5)
    before = copy.deepcopy(model.base_model.state_dict())
    own.sum().backward()
    assert all(x.grad is None for x in model.base_model.parameters())
    assert layers[0].state_dict().keys() and before.keys() == model.base_model.state_dict().keys()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])
def test_without_dropout_a_model_that_learns_says_what_it_says_at_rest(kind):
    model = make(kind)
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.5
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    at_rest = model(IDS).logits
    assert not torch.allclose(model.train()(IDS).logits, at_rest, atol=1e-3)
    torch.testing.assert_close(without_dropout(model)(IDS).logits, at_rest, atol=1e-5, rtol=1e-5)
