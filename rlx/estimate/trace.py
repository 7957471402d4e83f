"""How much memory a pass through a model takes beside its weights, counted on tensors that have shapes and no data.

torch's FakeTensorMode runs the real modules with the real operations, forward and backward, and allocates nothing; a count
of the storages that are alive gives the peak. So it holds for any architecture of transformers, with adapters or without.
What a kernel needs inside itself is not seen.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module, Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


@dataclass
class _Storage:
    size: int
    alive: Any = None


class _Living(TorchDispatchMode):
    """Bytes of the storages that operations have made and that are still alive: now, and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, _Storage] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_iter(out):
            if isinstance(x, Tensor):
                self.note(x)
        return out

    def note(self, x: Tensor, counts: bool = True) -> None:
        storage = x.untyped_storage()
        if (key := storage._cdata) in self._known:
            return
        known = _Storage(storage.nbytes() if counts else 0)
        self._known[key] = known

        def gone(_: Any) -> None:
            del self._known[key]
            self.now -= known.size

        known.alive = weakref.ref(storage, gone)
        self.now += known.size
        self.most = max(self.most, self.now)

    def forget_gradient(self, parameter: Tensor) -> None:
        """A gradient that is complete is counted elsewhere."""
        if parameter.grad is not None and (known := self._known.get(parameter.grad.untyped_storage()._cdata)):
            self.now -= known.size
            known.size = 0


def peak(model: Module, run: Callable[[Module], Any], autocast: bool = False, gradients: bool = True) -> int:
    """Bytes that `run(model)` holds at most beside the weights of `model` and their gradients. The weights lie on the meta
    device, and do not any more afterwards: a model is traced once. `gradients`: whether any are computed."""
    with FakeTensorMode():
        living = _Living()
        for x in _without_data(model):
            living.note(x, counts=False)
            if isinstance(x, Parameter) and x.requires_grad and gradients:
                x.register_post_accumulate_grad_hook(living.forget_gradient)
        with living, torch.set_grad_enabled(gradients), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            run(model)
    return living.most


def _without_data(model: Module) -> list[Tensor]:
    """Put a tensor without data, of the CPU's as its operations are, in the place of each parameter and buffer."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for own in (module._parameters, module._buffers):
            for name, x in own.items():
                if x is None:
                    continue
                if id(x) not in made:
                    fake = torch.empty(x.shape, dtype=x.dtype)
                    made[id(x)] = Parameter(fake, x.requires_grad) if isinstance(x, Parameter) else fake
                own[name] = made[id(x)]  # pyright: ignore[reportArgumentType]
    return list(made.values())
