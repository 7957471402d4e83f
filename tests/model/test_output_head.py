"""Chunks change what stands in memory, and no number."""

import pytest
import torch
from peft import LoraConfig
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from rlx.engine.forward import reference_logits
from rlx.model import output_head
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import without_adapters
from rlx.model.output_head import said_of_tokens, token_entropies, token_logps

WORDS, LENGTH = 64, 6
SIZE = {"vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
SPECIAL = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}


def test_log_probabilities_and_entropies_are_those_of_the_softmax():
    logits, ids = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [4, 3, 0]])
    logps = logits.log_softmax(-1)
    torch.testing.assert_close(token_logps(logits, ids), logps.gather(-1, ids[..., None]).squeeze(-1))
    torch.testing.assert_close(token_entropies(logits), -(logps.exp() * logps).sum(-1))


def make(kind: str, seed: int = 0):
    torch.manual_seed(seed)
    if kind == "tied":
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=1)
        )
    if kind == "soft-capped":  # logits of a random model are small: a cap of .3 bends them
        config = Gemma2Config(**SIZE, **HEADS, **SPECIAL, final_logit_softcapping=0.3)
        return Gemma2ForCausalLM(config)
    return LlamaForCausalLM(LlamaConfig(**SIZE, **HEADS, **SPECIAL))


def kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def all_that_is_said(kind: str, temperature: float, lora: LoraConfig | None):
    """Values and gradients of everything that can be asked of a policy with a critic."""
    policy = with_adapters(with_critic(make(kind), "shared"), lora).eval()
    if lora is not None:
        for name, x in policy.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(x, std=0.1, generator=torch.Generator().manual_seed(1))
    other = with_critic(make(kind, seed=1), "none").eval()
    ids = torch.randint(2, WORDS, (3, LENGTH + 4), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    asked = {"completion_length": LENGTH, "temperature": temperature}
    out = policy(**inputs, **asked, entropy=True, against=reference_logits(other, inputs, kl, **asked))
    weights = torch.randn(3, LENGTH, generator=torch.Generator().manual_seed(2))
    sum((x * weights).sum() for x in out.values()).backward()
    return out | {name: x.grad for name, x in policy.named_parameters() if x.grad is not None}


@pytest.mark.parametrize("kind", ["plain", "tied", "soft-capped"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("adapters", [None, "all-linear", ["lm_head", "c_fc", "up_proj"]])
def test_values_and_gradients_do_not_depend_on_the_chunks(monkeypatch, kind, temperature, adapters):
    if adapters is not None and kind == "tied":
        pytest.skip("an adapter on a tied head would have to be on the embedding too")
    lora = adapters and LoraConfig(r=4, lora_alpha=8, target_modules=adapters, task_type="CAUSAL_LM")
    whole = all_that_is_said(kind, temperature, lora)
    assert any("lm_head.lora_A" in name for name in whole) == isinstance(adapters, list)
    monkeypatch.setattr(output_head, "CHUNK", 4 * WORDS + 3)  # 18 tokens, 4 at a time
    chunked = all_that_is_said(kind, temperature, lora)
    assert whole.keys() == chunked.keys() and {"logps", "entropies", "compared", "values"} < whole.keys()
    for name, x in whole.items():
        assert (chunked[name] - x).abs().max() <= 1e-6 * max(1, x.abs().max()), name


def test_no_more_logits_than_a_chunk_are_made_at_once_forward_and_backward(monkeypatch):
    monkeypatch.setattr(output_head, "CHUNK", 5 * WORDS)
    head, made = torch.nn.Linear(16, WORDS), []
    states = torch.randn(3, LENGTH, 16, requires_grad=True)

    def logits(states):
        made.append(states.shape[:-1].numel())
        return head(states)

    ids = torch.zeros(3, LENGTH, dtype=torch.long)
    said = said_of_tokens(logits, states, ids, WORDS, entropy=True, against=None)
    assert made == [5, 5, 5, 3]  # 18 tokens
    said["logps"].sum().backward()
    assert sorted(made) == sorted(2 * [5, 5, 5, 3])
    with torch.no_grad():
        said_of_tokens(logits, states, ids, WORDS, entropy=True, against=None)
    assert len(made) == 12


def test_where_all_fits_into_a_chunk_nothing_is_computed_twice():
    head, calls = torch.nn.Linear(16, WORDS), []
    states = torch.randn(3, LENGTH, 16, requires_grad=True)

    def logits(states):
        calls.append(states.shape)
        return head(states)

    ids = torch.zeros(3, LENGTH, dtype=torch.long)
    said_of_tokens(logits, states, ids, WORDS, entropy=False, against=None)["logps"].sum().backward()
    assert calls == [states.shape]


def test_the_head_is_called_once_however_many_chunks_there_are(monkeypatch):
    """Each process of ZeRO-3 puts its weights together when it is called; completions differ in length between processes."""
    policy = with_adapters(
        with_critic(make("plain"), "none"), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    calls = []
    policy.get_output_embeddings().register_forward_pre_hook(lambda *_: calls.append(1))
    ids = torch.randint(2, WORDS, (3, LENGTH + 4))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    asked = {"completion_length": LENGTH, "temperature": 1.0}
    for chunk in (2**25, 4 * WORDS):
        monkeypatch.setattr(output_head, "CHUNK", chunk)
        calls.clear()
        out = policy(**inputs, **asked, against=reference_logits(without_adapters(policy), inputs, kl, **asked))
        out["compared"].sum().backward()
        assert len(calls) == 1
        assert "forward" not in vars(policy.get_output_embeddings())
