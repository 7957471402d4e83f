"""Packed rows beside transformers' padded ones: the same log-probabilities, values, losses and gradients."""

import logging

import pytest
import torch
from peft import LoraConfig
from trunks import KINDS, small_lm

from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import without_adapters
from rlx.model.output_head import ReferenceLogits
from rlx.trunk import completions, family

PROMPT, LENGTH = 5, 7
generator = torch.Generator().manual_seed(0)
IDS = torch.randint(2, 24, (6, PROMPT + LENGTH), generator=generator)
TOKENS = [(5, 7), (1, 1), (3, 4), (2, 7), (5, 0), (4, 2)]  # of prompt and completion
MASK = torch.tensor([[0] * (PROMPT - p) + [1] * (p + t) + [0] * (LENGTH - t) for p, t in TOKENS])
INPUTS = {"input_ids": IDS, "attention_mask": MASK}
REAL = MASK[:, PROMPT:].bool()


def by_transformers(monkeypatch, compute):
    with monkeypatch.context() as patch:
        patch.setattr(completions, "own", lambda trunk: False)
        return compute()


def asked(model, against=None):
    """A loss with all that is said, and its gradients."""
    model.zero_grad()
    out = model(**INPUTS, completion_length=LENGTH, temperature=0.8, entropy=True, against=against)
    loss = sum((x * torch.sin(torch.arange(LENGTH) + 1.0))[REAL].sum() for x in out.values()) / REAL.sum()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, {name: x.detach() for name, x in out.items()}


def agree(one, two, tolerance):
    (loss, gradients, out), (other_loss, other_gradients, other_out) = one, two
    assert abs(loss - other_loss) < tolerance and gradients.keys() == other_gradients.keys()  # of terms of size 1
    size = max(x.norm() for x in other_gradients.values())
    for name, x in gradients.items():
        assert (x - other_gradients[name]).norm() < tolerance * size, name
    for name, x in out.items():
        assert (x - other_out[name])[REAL].abs().max() < 10 * tolerance and not x[~REAL].any(), name


def packs(model):
    return isinstance(completions.places_of(IDS, MASK, LENGTH, [model.base_model]), completions._Real)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("critic", ["shared", "half", "separate"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-6)])
def test_loss_and_gradients_are_those_of_padded_rows(kind, critic, dtype, tolerance, monkeypatch):
    """In float64, log-probabilities and heads are still computed in float32."""
    model = with_critic(small_lm(kind, initializer_range=0.15).to(dtype), critic)
    torch.nn.init.normal_(model.value_head.weight, std=0.2)
    other = with_critic(small_lm(kind, initializer_range=0.1).to(dtype), "none").requires_grad_(False)
    assert packs(model)

    def both():
        states = other(**INPUTS, completion_length=LENGTH, states=True)["states"]
        against = ReferenceLogits(states, other, 0.8, lambda own, theirs: (own.exp() * (own - theirs)).sum(-1))
        return asked(model, against)

    agree(both(), by_transformers(monkeypatch, both), tolerance)


def test_adapters_learn_the_same_and_the_policy_without_them_says_the_same(monkeypatch):
    lora = LoraConfig(r=2, lora_alpha=0.5, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = with_adapters(with_critic(small_lm("llama", initializer_range=0.15), "separate"), lora)
    agree(asked(model), by_transformers(monkeypatch, lambda: asked(model)), 1e-6)
    free = without_adapters(model)

    def said():
        return free(**INPUTS, completion_length=LENGTH)["logps"].detach()

    one, two = said(), by_transformers(monkeypatch, said)
    assert (one - two)[REAL].abs().max() < 1e-5 < (one - asked(model)[2]["logps"])[REAL].abs().max()


def test_the_critic_alone_says_the_values_that_it_says_beside_the_policy():
    model = with_critic(small_lm("llama"), "separate")
    torch.nn.init.normal_(model.value_head.weight)
    alone = model(**INPUTS, completion_length=LENGTH, logps=False)
    assert alone.keys() == {"values"}
    assert torch.equal(alone["values"], model(**INPUTS, completion_length=LENGTH)["values"])


def test_rows_of_one_length_are_packed_to_the_same_numbers(monkeypatch):
    model, whole = with_critic(small_lm("grouped"), "none"), {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}

    def said():
        return model(**whole, completion_length=LENGTH)["logps"].detach()

    assert (said() - by_transformers(monkeypatch, said)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("gpt2", {}, "its parts are not Llama's"),
        ("mistral", {"sliding_window": 8}, "its attention has a window"),
        ("granite", {}, "its layers do more than Llama's"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "its rotary embeddings",
        ),
        ("llama", {"attn_implementation": "eager"}, "model.attn_implementation=eager"),
    ],
)
def test_other_trunks_are_left_to_transformers_and_the_log_says_why_once(kind, more, reason, caplog):
    family._say_once.cache_clear()
    model = small_lm(kind, **more)
    with caplog.at_level(logging.INFO, logger="rlx"):
        assert not packs(model) and not packs(model)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("rlx")]
    assert len(own) == 1 and reason in own[0]


def test_what_changes_while_a_model_is_used_is_seen():
    model = small_lm("llama")
    assert packs(model)
    hook = model.model.layers[1].register_forward_hook(lambda *given: None)
    assert not packs(model)
    hook.remove()
    model.train().gradient_checkpointing_enable()
    assert not packs(model) and packs(model.eval())
    with torch.autocast("cpu", torch.bfloat16):
        assert not packs(model)
    assert not packs(model.to(torch.bfloat16))
