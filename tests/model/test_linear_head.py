"""What a linear head says in chunks, and its gradient, are those of autograd through whole logits."""

import pytest
import torch
from torch.nn.functional import linear

from rlx.model import output_head
from rlx.model.actor_critic import with_critic
from rlx.model.linear_head import LinearHead, linear_head_of, said_by_head

M, D, V = 7, 5, 11


def numbers(bias: bool, learnt: str):
    """States, W, b and token ids in float64, of which those in `learnt` want gradients."""
    generator = torch.Generator().manual_seed(0)
    states, weight, b = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((M, D), (V, D), (V,)))
    states.requires_grad_("s" in learnt)
    weight.requires_grad_("W" in learnt)
    b.requires_grad_("b" in learnt)
    return states, weight, b if bias else None, torch.randint(V, (M,), generator=generator)


def whole(states, weight, bias, ids, temperature, cap):
    """log p and H by the definition, through all logits at once."""
    z = linear(states, weight, bias)
    z = z if cap is None else torch.tanh(z / cap) * cap
    logps = (z / temperature).log_softmax(-1)
    return logps.gather(-1, ids[:, None])[:, 0], -(logps.exp() * logps).sum(-1)


CASES = [(1.0, None, True), (0.7, None, False), (1.0, 1.5, True), (0.7, 1.5, False)]


@pytest.mark.parametrize("temperature, cap, bias", CASES)
@pytest.mark.parametrize("learnt", ["sWb", "s", "W", "sb"])
@pytest.mark.parametrize("entropy", [False, True])
def test_numbers_and_gradients_are_those_of_whole_logits(temperature, cap, bias, learnt, entropy):
    states, weight, b, ids = numbers(bias, learnt)
    weights = torch.randn(2, M, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = whole(states, weight, b, ids, temperature, cap)
    found = said_by_head(states, ids, LinearHead(weight, b, temperature, cap), 3, entropy)  # 3 + 3 + 1 tokens
    leaves = [x for x in (states, weight, b) if x is not None and x.requires_grad]
    gradients = []
    for said in (wanted, found):
        both = said if entropy else (said[0],)
        total = torch.stack([(w * x).sum() for w, x in zip(weights, both, strict=False)]).sum()
        gradients.append(torch.autograd.grad(total, leaves))
        torch.testing.assert_close(both[0], wanted[0], rtol=0, atol=1e-14)
        torch.testing.assert_close(both[-1], wanted[1 if entropy else 0], rtol=0, atol=1e-14)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("temperature, cap, bias", CASES)
@pytest.mark.parametrize("learnt", ["sWb", "s"])
def test_gradients_are_those_of_finite_differences(temperature, cap, bias, learnt):
    states, weight, b, ids = numbers(bias, learnt)

    def said(states, weight, b):
        return said_by_head(states, ids, LinearHead(weight, b, temperature, cap), 3, entropy=True)

    assert torch.autograd.gradcheck(said, (states, weight, b))


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_is_as_near_to_float32_as_autograd_through_whole_logits(autocast):
    states, weight, _, ids = numbers(False, "")
    kind = torch.float32 if autocast else torch.bfloat16
    exact = [x.float().requires_grad_() for x in (states, weight)]
    wanted = torch.autograd.grad(whole(*exact, None, ids, 1.0, None)[0].sum(), exact)

    def gradients(say):
        leaves = [x.to(kind).requires_grad_() for x in (states, weight)]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logps = say(*leaves)
        return torch.autograd.grad(logps.sum(), leaves)

    ours = gradients(lambda s, w: said_by_head(s, ids, LinearHead(w, None, 1.0, None), 3, entropy=False)[0])
    theirs = gradients(lambda s, w: whole(s, w, None, ids, 1.0, None)[0])
    for own, other, true in zip(ours, theirs, wanted, strict=True):
        assert own.dtype == other.dtype == kind
        assert (own.float() - true).abs().max() <= 1.5 * (other.float() - true).abs().max() + 1e-3


@pytest.mark.parametrize("learnt, products", [("sW", [2, 2, 1, 2, 2, 1]), ("s", [2, 2, 1])])
def test_logits_are_made_again_only_where_the_head_learns(monkeypatch, learnt, products):
    made = []
    monkeypatch.setattr("rlx.model.linear_head.linear", lambda s, *rest: (made.append(len(s)), linear(s, *rest))[1])
    states, weight, b, ids = (x[:5] if i in (0, 3) else x for i, x in enumerate(numbers(False, learnt)))
    said_by_head(states, ids, LinearHead(weight, b, 1.0, None), 2, entropy=False)[0].sum().backward()
    assert made == products


def test_a_head_is_more_than_a_product_where_hooks_or_adapters_are_on_it():
    from tests.model.test_output_head import make

    model = with_critic(make("soft-capped"), "none")
    assert linear_head_of(model, 0.7) == LinearHead(model.lm_head.weight, None, 0.7, 0.3)
    handle = model.lm_head.register_forward_pre_hook(lambda *_: None)
    assert linear_head_of(model, 0.7) is None
    handle.remove()
    model.lm_head.forward = model.lm_head.forward
    assert linear_head_of(model, 0.7) is None


@pytest.mark.parametrize("kind", ["plain", "tied", "soft-capped"])
@pytest.mark.parametrize("entropy", [False, True])
def test_a_policy_learns_the_same_through_chunks_as_through_whole_logits(monkeypatch, kind, entropy):
    from tests.model.test_output_head import LENGTH, WORDS, make

    def gradients():
        policy = with_critic(make(kind), "shared")
        ids = torch.randint(2, WORDS, (3, LENGTH + 4), generator=torch.Generator().manual_seed(0))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        out = policy(**inputs, completion_length=LENGTH, temperature=0.7, entropy=entropy)
        torch.stack([(x * x).sum() for x in out.values()]).sum().backward()
        return out | {name: x.grad for name, x in policy.named_parameters() if x.grad is not None}

    all_at_once = gradients()
    monkeypatch.setattr(output_head, "CHUNK", 4 * WORDS + 3)
    monkeypatch.setattr(output_head, "checkpoint", None)  # not by autograd
    for name, x in gradients().items():
        assert (x - all_at_once[name]).abs().max() <= 2e-6 * max(1, x.abs().max()), name
