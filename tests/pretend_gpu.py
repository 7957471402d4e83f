"""A GPU that is none: tensors that say they lie on another device, compute on the CPU, and refuse to meet tensors that do not.

torch knows a device type for back ends written in Python. Ours holds a CPU tensor in each of its own, raises as CUDA would
where the two are mixed, and counts the forward passes of models that were left on the CPU.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.utils.backend_registration as registration
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

RLX = Path(__file__).parents[1] / "rlx"
A = torch.ops.aten
MOVES = {A._to_copy.default, A.copy_.default}
PUT = {A.index_put_.default, A.index_put.default, A._index_put_impl_.default}
TAKE = {A.index.Tensor, A._unsafe_index.Tensor}
JOIN = {A.cat.default, A.stack.default}  # which take no number of another device either


class Backend(registration._DummyBackendModule):
    """What torch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def _is_in_bad_fork(self) -> bool:
        return False

    def nothing(self, *args: Any) -> None: ...

    manual_seed = manual_seed_all = set_rng_state = synchronize = empty_cache = nothing


registration._setup_privateuseone_for_python_backend("pretend", Backend())
GPU = torch.device("pretend", 0)


def is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "pretend"


class OnGPU(torch.Tensor):
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False):
        return torch.Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=GPU, requires_grad=requires_grad,
        )  # fmt: skip

    def __init__(self, inner: torch.Tensor, requires_grad: bool = False) -> None:
        self.inner = inner.detach()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    def tolist(self):
        return self.inner.tolist()

    def numpy(self, *args: Any, **kwargs: Any):
        raise TypeError("can't convert a GPU's tensor to numpy; use Tensor.cpu() first")

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def storage(self):
        return self.inner.storage()

    def untyped_storage(self):
        return self.inner.untyped_storage()

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, new) -> None:
        assert isinstance(new, OnGPU), "a CPU tensor as the data of a parameter on the GPU"
        torch.Tensor.data.__set__(self, new)  # pyright: ignore
        self.inner = new.inner

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = OnGPU(self.inner.clone(), self.requires_grad)
            if hasattr(self, "_is_param"):
                memo[id(self)]._is_param = True
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return (OnGPU, (self.inner, self.requires_grad))


def inside(x: Any) -> Any:
    return x.inner if isinstance(x, OnGPU) else x


def demand_one_device(func: Any, args: Any, tensors: list[torch.Tensor]) -> None:
    """As CUDA: numbers may come from anywhere, and so may the places at which a GPU's tensor is indexed."""
    if func in MOVES:
        return
    if func in PUT | TAKE:
        tensors = [args[0], *(args[2:3] if func in PUT else []), *(i for i in args[1] if isinstance(i, OnGPU))]
    if any(isinstance(x, OnGPU) for x in tensors):
        for x in tensors:
            if not isinstance(x, OnGPU) and (x.dim() > 0 or func in JOIN):
                raise RuntimeError(
                    f"{func}: expected all tensors on one device, and one {tuple(x.shape)} is on the CPU"
                )


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    ours = [x for x in tensors if isinstance(x, OnGPU)]
    demand_one_device(func, args, tensors)
    asked = dict(kwargs)
    target = asked.get("device")
    if is_gpu(target):
        asked["device"] = torch.device("cpu")
    if ours or is_gpu(target):
        asked.pop("pin_memory", None)
    inner_args = tree_map(inside, args)
    out = func(*inner_args, **tree_map(inside, asked))
    if func is A.copy_.default:
        return args[0]
    to_gpu = is_gpu(target) if target is not None else isinstance(args[0], OnGPU) if func in TAKE else bool(ours)
    if not to_gpu or func is A._local_scalar_dense.default:
        return out.clone() if ours and any(out is x for x in inner_args) else out
    own = {id(x.inner): x for x in ours}

    def placed(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or isinstance(x, OnGPU):
            return x
        return own[id(x)] if id(x) in own else OnGPU(x)

    out = tree_map(placed, out)
    if any(argument.alias_info for argument in func._schema.arguments):
        try:
            return return_and_correct_aliasing(func, args, kwargs, out)
        except Exception:  # views that torch has no rule for
            return out
    return out


class Dispatch(TorchDispatchMode):
    def __init__(self, left_on_cpu: Counter[str]) -> None:
        super().__init__()
        self.left_on_cpu = left_on_cpu

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is A.embedding.default and not isinstance(args[0], OnGPU) and args[0].device.type == "cpu":
            frames = [frame for frame in traceback.extract_stack() if str(RLX) in frame.filename]
            self.left_on_cpu[" < ".join(frame.name for frame in reversed(frames[-5:]))] += 1
        return run(func, args, kwargs or {})


class Made(TorchFunctionMode):
    """torch.tensor(..., device=GPU) does not come by the dispatcher, and there is no memory to pin."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.pin_memory:
            return args[0]
        if func in (torch.tensor, torch.as_tensor) and is_gpu(kwargs.get("device")):
            del kwargs["device"]
            return func(*map(inside, args), **kwargs).to(GPU)
        return func(*args, **kwargs)


@contextmanager
def pretending() -> Iterator[Counter[str]]:
    """Inside, rlx sees a GPU. Gives the forward passes of models on the CPU: who asked -> how often."""
    torch.__future__.set_swap_module_params_on_conversion(True)
    torch.serialization.add_safe_globals([OnGPU])
    torch.cuda.is_available = lambda: str(RLX) in sys._getframe(1).f_code.co_filename
    left_on_cpu: Counter[str] = Counter()
    with Made(), Dispatch(left_on_cpu):
        yield left_on_cpu
