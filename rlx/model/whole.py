"""Weights that a back end has spread over processes, put together again. Every process must take part in each call."""

import copy

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Module, Parameter
from transformers import PreTrainedModel


def is_spread(model: Module) -> bool:
    """Whether this process holds a part of some parameter only (ZeRO-3, FSDP)."""
    return any(hasattr(p, "ds_id") or isinstance(p, DTensor) for p in model.parameters())


@torch.no_grad()
def whole_state(model: Module) -> dict[str, Tensor]:
    """`model.state_dict()` with every tensor whole, copied to the CPU of every process."""
    return {name: whole(x).detach().cpu().clone() for name, x in model.state_dict(keep_vars=True).items()}


def blank_of(model: Module) -> Module:
    """A copy of `model` without memory for its parameters, made before a back end takes it apart: for `plain_copy` to fill."""
    memo: dict[int, object] = {
        id(p): Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, memo)


def plain_copy(model: Module, blank: Module) -> Module:
    """A copy of `model` that knows of no back end: of itself, or of `blank` (`blank_of` it before it was spread) with its
    weights, in the blank's types and ties."""
    if not is_spread(model):
        return copy.deepcopy(model)
    return filled(blank, whole_state(model))


def filled(blank: Module, state: dict[str, Tensor]) -> Module:
    """A copy of `blank` with the tensors of `state` as its own."""
    plain = copy.deepcopy(blank)
    plain.load_state_dict({name: state[name].to(x.dtype) for name, x in blank.state_dict().items()}, assign=True)
    for module in plain.modules():
        if isinstance(module, PreTrainedModel):
            module.tie_weights()
    return plain


def whole(x: Tensor) -> Tensor:
    """`x` with what the other processes hold of it."""
    if isinstance(x, DTensor):
        return x.full_tensor()
    if hasattr(x, "ds_id"):
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([x]):
            return x.detach().clone()
    return x
