"""Weights that a back end has spread over processes, put together again. Every process must take part in each call."""

import copy

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Module


def is_spread(model: Module) -> bool:
    """Whether this process holds a part of some parameter only (ZeRO-3, FSDP)."""
    return any(hasattr(p, "ds_id") or isinstance(p, DTensor) for p in model.parameters())


@torch.no_grad()
def whole_state(model: Module) -> dict[str, Tensor]:
    """`model.state_dict()` with every tensor whole, copied to the CPU of every process."""
    return {name: _whole(x).detach().cpu().clone() for name, x in model.state_dict(keep_vars=True).items()}


def plain_copy(model: Module, blank: Module) -> Module:
    """A copy of `model` that knows of no back end: of itself, or of `blank` (the model before it was spread) with its
    weights."""
    if not is_spread(model):
        return copy.deepcopy(model)
    plain = copy.deepcopy(blank)
    plain.load_state_dict(whole_state(model))
    return plain


def _whole(x: Tensor) -> Tensor:
    if isinstance(x, DTensor):
        return x.full_tensor()
    if hasattr(x, "ds_id"):
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([x]):
            return x.detach().clone()
    return x
