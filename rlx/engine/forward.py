"""Log-probabilities of completions under a model, over many rows, with no gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from rlx.model.output_head import ReferenceLogits


@dataclass(frozen=True)
class Logprobs:
    """What a model says of B completions; 0 where masked, and entropies 0 everywhere unless they were asked for."""

    logps_BT: Tensor
    entropies_BT: Tensor
    values_BT: Tensor | None


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


@torch.no_grad()
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
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    order = mask_BT.sum(-1).argsort(stable=True)
    logps, entropies = torch.zeros(mask_BT.shape), torch.zeros(mask_BT.shape)
    values: Tensor | None = None
    for part in order.split(rows) if len(order) else ():
        length = int(mask_BT[part].sum(-1).max())
        inputs = inputs_of(prompt_ids_BP[part], prompt_mask_BP[part], ids_BT[part, :length], mask_BT[part, :length])
        inputs = {name: x.to(device) for name, x in inputs.items()}
        out = model(**inputs, completion_length=length, temperature=temperature, entropy=entropy)
        out = {name: x.float().cpu() for name, x in out.items()}
        kept = mask_BT[part, :length]
        logps[part, :length] = out["logps"] * kept
        if entropy:
            entropies[part, :length] = out["entropies"] * kept
        if "values" in out:
            values = torch.zeros(mask_BT.shape) if values is None else values
            values[part, :length] = out["values"] * kept
    model.train(was_training)
    return Logprobs(logps, entropies, values)
