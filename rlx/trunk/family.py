"""Which models' trunks rlx computes by itself: those with Llama's layers, on CPUs, where their own numbers come out.

transformers' modules are what is called, with their own weights, biases and adapters. Only the order of calls and the
layout of tokens are rlx's: real tokens side by side in place of padded rows, and keys and values that stay in place.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch.distributed.tensor import DTensor
from torch.nn import Module

log = logging.getLogger(__name__)
LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
OF_ANY_LENGTH = {
    "default",
    "linear",
    "llama3",
    "yarn",
}  # rotary embeddings that do not change with the length of a text
TOLERANCE = 1e-4  # of the largest state: in float32 two orders of summation differ by a tenth of it
Reasons = WeakKeyDictionary[Module, str]  # why not; "" where nothing speaks against it
_structure: Reasons = WeakKeyDictionary()
_numbers: Reasons = WeakKeyDictionary()


def own(trunk: Any) -> bool:
    """Return whether rlx computes this trunk, the `base_model` of a language model or of a reward model. The log says once
    what speaks against it; on other devices than CPUs transformers' own kernels are silently kept."""
    if not isinstance(trunk, Module) or detect_fake_mode() is not None:
        return False
    first = next(trunk.parameters(), None)
    if first is None or first.device.type != "cpu":
        return False
    reason = _kept(_structure, trunk, _of_structure) or _now(trunk) or _kept(_numbers, trunk, _of_numbers)
    if reason:
        _say_once(f"{type(trunk).__name__}: {reason}; transformers computes its rows as they are, padded")
    return not reason


def _now(trunk: Any) -> str:
    """What speaks against it at this moment."""
    if torch.is_autocast_enabled("cpu"):
        return "it is computed in reduced precision"
    for parameter in trunk.parameters():
        if hasattr(parameter, "ds_id") or isinstance(parameter, DTensor):
            return "its weights are spread over processes"
        if parameter.dtype not in (torch.float32, torch.float64):
            return f"its weights are {str(parameter.dtype).removeprefix('torch.')}"
    layers = list(getattr(trunk, "layers", []))
    if trunk.training and any(getattr(layer, "gradient_checkpointing", False) for layer in layers):
        return "activations are computed again in its backward pass"
    if trunk.training and any(getattr(layer.self_attn, "attention_dropout", 0.0) for layer in layers):
        return "its attention drops out"
    for layer in layers:
        for part in (trunk, layer, layer.self_attn):
            if part._forward_hooks or part._forward_pre_hooks:
                return "something listens to its layers"
    return ""


def _kept(found: Reasons, trunk: Module, look: Callable[[Any], str]) -> str:
    if trunk not in found:
        found[trunk] = look(trunk)
    return found[trunk]


def _of_structure(trunk: Any) -> str:
    """What speaks against it for good."""
    if {name for name, _ in trunk.named_children()} != {"embed_tokens", "layers", "norm", "rotary_emb"}:
        return "its parts are not Llama's"
    config = trunk.config
    for layer in trunk.layers:
        inner = {name for name, _ in layer.named_children()}, {name for name, _ in layer.self_attn.named_children()}
        if inner != (LAYER, ATTENTION) or layer.self_attn._parameters:
            return "its layers are not Llama's"
    if len(trunk.layers) != config.num_hidden_layers:
        return "not all of its layers are used"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or []) or (
        getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    ):
        return "its attention has a window"
    if trunk.rotary_emb.rope_type not in OF_ANY_LENGTH:
        return "its rotary embeddings change with the length of a text"
    if config._attn_implementation not in (None, "sdpa"):
        return f"model.attn_implementation={config._attn_implementation}"
    return ""


@torch.no_grad()
def _of_numbers(trunk: Any) -> str:
    """Whether the states of two short rows are those that the trunk itself computes: architectures scale embeddings and
    residuals in ways of their own, and asking the model is the only way to know."""
    from rlx.trunk.packed import Packed

    ids_BT = torch.arange(10).view(2, 5) % trunk.embed_tokens.weight.shape[0]
    mask_BT = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    was_training = trunk.training
    trunk.eval()
    places = (mask_BT.cumsum(-1) - 1).clamp(min=0)
    own_BTD = trunk(input_ids=ids_BT, attention_mask=mask_BT, position_ids=places, use_cache=False).last_hidden_state
    ours_ND = Packed.rows(ids_BT, mask_BT.bool()).states(trunk)
    trunk.train(was_training)
    own_ND = own_BTD[mask_BT.bool()]
    if ours_ND.shape == own_ND.shape and bool((ours_ND - own_ND).abs().max() <= TOLERANCE * own_ND.abs().max()):
        return ""
    return "its layers do more than Llama's"


@cache
def _say_once(line: str) -> None:
    log.info("%s", line)


def turns(trunk: Any, x: Tensor, positions_N: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (N, 1, E) of the angles that places turn queries and keys by; `x` gives their type."""
    cos_NE, sin_NE = (part[0] for part in trunk.rotary_emb(x, positions_N[None]))
    first, second = sin_NE.chunk(2, -1)
    return cos_NE[:, None], torch.cat((-first, second), -1)[:, None]


def rotated(x_NHE: Tensor, cos_N1E: Tensor, sin_N1E: Tensor) -> Tensor:
    """Queries or keys turned by their places: x cos + (-x2, x1) sin, with x1 and x2 the halves of x."""
    first, second = x_NHE.chunk(2, -1)
    return x_NHE * cos_N1E + torch.cat((second, first), -1) * sin_N1E


def projected(layer: Any, x_ND: Tensor, cos_N1E: Tensor, sin_N1E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (N, H, E), keys and values (N, K, E) of normalised states, by one layer's attention."""
    attention, heads = layer.self_attn, (len(x_ND), -1, layer.self_attn.head_dim)
    queries, keys = attention.q_proj(x_ND).view(heads), attention.k_proj(x_ND).view(heads)
    return rotated(queries, cos_N1E, sin_N1E), rotated(keys, cos_N1E, sin_N1E), attention.v_proj(x_ND).view(heads)


def completed(layer: Any, x_ND: Tensor, attended_ND: Tensor) -> Tensor:
    """What a layer makes of its input and of what its attention gathered."""
    x_ND = x_ND + layer.self_attn.o_proj(attended_ND)
    return x_ND + layer.mlp(layer.post_attention_layernorm(x_ND))
