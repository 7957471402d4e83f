"""Log-probabilities of completions under a model, over many rows, with no gradient."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from rlx.core.rollout import Logprobs
from rlx.model.output_head import ReferenceLogits


def inputs_of(prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> dict[str, Tensor]:
    """Prompt and completion side by side: left padding, tokens, right padding."""
    mask = torch.cat([prompt_mask_BP, mask_BT], -1)
    return {"input_ids": torch.cat([prompt_ids_BP, ids_BT], -1), "attention_mask": mask.long()}


@torch.no_grad()
def reference_logits(
    model: Any,
    inputs: dict[str, Tensor],
    measure: Callable[[Tensor, Tensor], Tensor],
    completion_length: int,
    temperature: float,
) -> ReferenceLogits:
    """`model` as what another is to be compared with on `inputs`."""
    states_BTD = model(**inputs, completion_length=completion_length, states=True)["states"]
    return ReferenceLogits(states_BTD, model, temperature, measure)


def logprobs_of(
    model: Module,
    prompt_ids_BP: Tensor,
    prompt_mask_BP: Tensor,
    ids_BT: Tensor,
    mask_BT: Tensor,
    temperature: float,
    rows: int,
    entropy: bool = False,
) -> Logprobs:
    """`rows` completions at a time, the longest together, each chunk cut to its longest: padding costs time and no more.

    The tensors lie on the CPU; the model computes where it is.
    """
    asked = {"temperature": temperature, "entropy": entropy}
    out = _said(model, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT, rows, asked)
    nothing = torch.zeros(mask_BT.shape)
    return Logprobs(out.get("logps", nothing), out.get("entropies", nothing), out.get("values"), temperature)


def values_of(
    model: Module, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor, rows: int
) -> Tensor:
    """The critic's values (B, T) alone, as `logprobs_of` has them."""
    return _said(model, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT, rows, {"logps": False})["values"]


@torch.no_grad()
def _said(
    model: Module,
    prompt_ids_BP: Tensor,
    prompt_mask_BP: Tensor,
    ids_BT: Tensor,
    mask_BT: Tensor,
    rows: int,
    asked: dict[str, Any],
) -> dict[str, Tensor]:
    """What the model answers of all rows, (B, T) each and 0 where masked."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    whole: dict[str, Tensor] = {}
    order = mask_BT.sum(-1).argsort(stable=True)
    for part in order.split(rows) if len(order) else ():
        length = int(mask_BT[part].sum(-1).max())
        inputs = inputs_of(prompt_ids_BP[part], prompt_mask_BP[part], ids_BT[part, :length], mask_BT[part, :length])
        inputs = {name: x.to(device) for name, x in inputs.items()}
        for name, x in model(**inputs, completion_length=length, **asked).items():
            whole.setdefault(name, torch.zeros(mask_BT.shape))[part, :length] = x.float().cpu() * mask_BT[part, :length]
    model.train(was_training)
    return whole
