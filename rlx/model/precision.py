"""The parts of a bfloat16 model that stay in float32.

bfloat16 keeps 8 bits of precision: rounding changes a number by up to 1/256 of it (.39 %), by .135 % on average.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import Module
from torch.nn.functional import linear

M = TypeVar("M", bound=Module)


class FullPrecision(nn.Linear):
    """A head of one number, computed in float32 whatever the type of states and weights, under any autocast: rounded to
    8 bits, scores between 2 and 4 would be multiples of 1/64, and completions that differ would be equals."""

    def forward(self, states: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return in_full_precision(self, states)


def in_full_precision(head: nn.Linear, states: Tensor) -> Tensor:
    """head(states) in float32."""
    bias = None if head.bias is None else head.bias.float()
    with torch.autocast(states.device.type, enabled=False):
        return linear(states.float(), head.weight.float(), bias)


def with_full_precision(head: Module) -> Module:
    """`head` itself, a Linear, with weights in float32 and computed in it."""
    assert isinstance(head, nn.Linear)
    head.__class__ = FullPrecision
    return head.float()


def beside_masters(model: M) -> M:
    """`model` itself, of bfloat16, with float32 where autocast leaves a policy's masters in it: embeddings, norms and biases,
    and with them the residual stream. Under autocast, model and masters of the same values then compute the same numbers
    to the bit, and a policy that has learnt nothing has a divergence of 0 from its reference."""
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() < 2 or isinstance(module, nn.Embedding):
                parameter.data = parameter.data.float()
    return model


def cast(model: M, dtype: torch.dtype) -> M:
    """`model` itself with its parameters in `dtype`. `model.to(dtype)` would round buffers as well, and with them the
    frequencies of rotary embeddings, which from_pretrained leaves in float32: in bfloat16, positions beyond a few hundred
    would be off by whole tokens."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model
