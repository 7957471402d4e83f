"""Frozen weights in memory once: a policy with adapters lends them to its critic and to the base of the reward models.

A parameter is shared only where name, type, shape and every value agree, so no score depends on whether it is.
"""

import weakref
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.nn import Module

_LENDERS: weakref.WeakValueDictionary[Path, PeftModel] = weakref.WeakValueDictionary()


def share_frozen(model: Module, source: Module) -> int:
    """Make parameters of `model` the frozen ones of `source` of the same name and value; return how many bytes that frees.

    Nothing may change them in place afterwards. peft's wrappers do not count as part of a name.
    """
    lent = {_plain(name): x for name, x in source.named_parameters() if not x.requires_grad}
    freed = 0
    for name, own in model.named_parameters():
        other = lent.get(_plain(name))
        if other is None or own.requires_grad or (own.dtype, own.shape) != (other.dtype, other.shape):
            continue
        if own.data_ptr() != other.data_ptr() and torch.equal(own.data.to(other.device), other.data):
            own.data = other.data
            freed += own.numel() * own.element_size()
    return freed


def lend(policy: PeftModel, directory: Path) -> int:
    """Let the policy's critic, where it has a trunk of its own, and models that are loaded from `directory` from now on use
    the frozen weights of `policy`, whose own come from there. Return the bytes that the critic frees."""
    _LENDERS[directory.resolve()] = policy
    inner: Any = policy.get_base_model()
    critic = getattr(inner, "critic", None)
    return 0 if critic is None else share_frozen(critic, inner.base_model)


def borrowed(model: Module, directory: Path) -> int:
    """Let `model`, just loaded from `directory`, use the weights of the policy that lends them; return the bytes freed."""
    lender = _LENDERS.get(directory.resolve())
    return 0 if lender is None else share_frozen(model, lender)


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", ".")
