"""The policy's forward pass compiles whole, and changes numbers by rounding at most."""

import logging

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.exc import InvalidCxxCompiler

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.model import compiled
from rlx.model.actor_critic import with_adapters, with_critic
from tests.model.test_output_head import LENGTH, WORDS, make


def learnt(policy, rows=3):
    """What is said of completions and the gradients of its sum."""
    ids = torch.randint(2, WORDS, (rows, LENGTH + 4), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :2] = mask[1, -2:] = 0  # padding on both sides
    out = policy(input_ids=ids, attention_mask=mask, completion_length=LENGTH, temperature=0.7, entropy=True)
    policy.zero_grad()
    torch.stack([x.square().sum() for x in out.values()]).sum().backward()
    return out | {name: x.grad.clone() for name, x in policy.named_parameters() if x.grad is not None}


SLOW = [("aot_eager", "separate"), ("inductor", "shared"), ("inductor", "separate")]


@pytest.mark.parametrize(
    "backend, critic", [("eager", "shared"), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)  # the first finds the same graph as the others do, and generates no code
def test_a_policy_that_is_compiled_learns_the_same_in_one_graph(monkeypatch, backend, critic):
    own = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **words: own(function, backend=backend, **words))
    torch._dynamo.reset()
    counters.clear()
    plain = learnt(with_adapters(with_critic(make("plain"), critic), None).train())
    policy = with_critic(make("plain"), critic, compiles=True).train()
    found = learnt(policy)
    assert not counters["graph_break"] and counters["stats"]["unique_graphs"] == 1
    assert found.keys() == plain.keys()
    for name, x in plain.items():
        assert (found[name] - x).abs().max() <= 2e-6 * max(1, x.abs().max()), name
    policy.eval()
    before = counters["stats"]["unique_graphs"]
    policy(input_ids=torch.ones(1, 8, dtype=torch.long), attention_mask=torch.ones(1, 8), completion_length=2)
    assert counters["stats"]["unique_graphs"] == before  # scoring is not compiled


def test_compiling_is_timed_in_the_log(monkeypatch, caplog):
    spent = iter([10.0, 40.0, 40.5])
    monkeypatch.setattr(compiled, "_spent", lambda: next(spent))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    caplog.set_level(logging.INFO)
    double = compiled.Compiled(lambda x: 2 * x)
    assert [double(3), double(4)] == [6, 8]
    assert [r.message for r in caplog.records] == ["compute.compile: compiling has taken 30 s so far"]


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    def none() -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", none)
    with pytest.raises(UserError, match="install g\\+\\+"):
        with_critic(make("plain"), "none", compiles=True)


@pytest.mark.parametrize("choice", ["zero3", "fsdp"])
def test_weights_that_are_spread_are_not_compiled(choice):
    with pytest.raises(UserError, match=f"compute.compile=true: {choice}"):
        checked(compose([f"compute={choice}", "compute.compile=true"])[0].config)
