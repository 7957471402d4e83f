"""What processes of one run send each other, as bytes of JSON and safetensors: whoever reads them runs nothing of them."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from rlx.core.rollout import ScoredRollout
from rlx.core.world import Completion, Prompt

SENT: Mapping[str, type] = {cls.__name__: cls for cls in (Completion, Prompt, ScoredRollout)}
LENGTH = 8  # bytes that say how long the JSON is; the tensors follow it


def packed(value: object) -> bytes:
    """Return numbers, texts, None, lists, tuples, dicts, tensors, NumPy's arrays and the dataclasses of SENT, in one another
    in any way, as bytes. Raises TypeError for anything else."""
    tensors: list[Tensor] = []
    told = json.dumps(_plain(value, tensors)).encode()
    held = save({str(i): tensor for i, tensor in enumerate(tensors)}) if tensors else b""
    return len(told).to_bytes(LENGTH, "big") + told + held


def unpacked(message: bytes) -> Any:
    """Return what was packed. Tensors are on the CPU, whatever device they were on."""
    end = LENGTH + int.from_bytes(message[:LENGTH], "big")
    held = message[end:]
    return _rebuilt(json.loads(message[LENGTH:end]), load(held) if held else {})


def _plain(value: Any, tensors: list[Tensor]) -> Any:
    """As JSON: a list stays one, everything else that is no number or text is an object with one key, which says what."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_plain(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, tensors) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[_plain(key, tensors), _plain(item, tensors)] for key, item in value.items()]}
    if isinstance(value, Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        tensors.append(
            (value if isinstance(value, Tensor) else torch.from_numpy(value)).detach().cpu().contiguous().clone()
        )
        return {kind: len(tensors) - 1}
    if isinstance(value, np.generic):
        return value.item()
    name = type(value).__name__
    if is_dataclass(value) and SENT.get(name) is type(value):
        return {name: {field.name: _plain(getattr(value, field.name), tensors) for field in fields(value)}}
    raise TypeError(f"processes do not send each other a {name}; send its numbers and texts, or name it in SENT")


def _rebuilt(told: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(told, list):
        return [_rebuilt(item, tensors) for item in told]
    if not isinstance(told, dict):
        return told
    ((kind, content),) = told.items()
    if kind == "tuple":
        return tuple(_rebuilt(item, tensors) for item in content)
    if kind == "dict":
        return {_rebuilt(key, tensors): _rebuilt(item, tensors) for key, item in content}
    if kind in ("tensor", "array"):
        tensor = tensors[str(content)]
        return tensor if kind == "tensor" else tensor.numpy()
    return SENT[kind](**{name: _rebuilt(item, tensors) for name, item in content.items()})
