"""A policy's weights as another engine reads them: those of the plain causal LM, under the names of its checkpoint."""

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from rlx.model.actor_critic import CRITIC_PREFIXES
from rlx.model.bare import is_adapter_free
from rlx.model.whole import whole


@torch.no_grad()
def plain_weights(policy: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) one at a time: no critic, tied weights once, adapters added to what they adapt. In a copy: merging
    them into the policy and taking them out again, as often as it is drawn from, would wear its weights off by rounding.

    Weights of ZeRO-3 must have been gathered; where FSDP spreads them, every process must go through all of them.
    """
    adapted = isinstance(policy, PeftModel)
    model: Any = policy.get_base_model() if adapted or is_adapter_free(policy) else policy  # pyright: ignore[reportCallIssue]
    for name, weight in model.named_parameters():
        if name.startswith(CRITIC_PREFIXES) or ".lora_" in name:
            continue
        layer, _, own = name.rpartition(".base_layer.")
        full = whole(weight.detach())
        if adapted and layer and own == "weight":
            adapters = model.get_submodule(layer)
            for adapter in adapters.active_adapters:
                # Both rounded once: the change alone, rounded to bfloat16 before, would be rounded twice.
                full = (full + whole(adapters.get_delta_weight(adapter))).to(full.dtype)
        yield name.replace(".base_layer.", "."), full
