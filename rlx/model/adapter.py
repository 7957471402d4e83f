"""A reward model apart from the weights that it shares: LoRA matrices and a score head, in peft's own files.

The mean of M adapted weights is one adapter of M times the rank, exactly:

    sum_i w_i (W + s B_i A_i) = W + s [w_1 B_1 ... w_M B_M] [A_1; ...; A_M]    where sum_i w_i = 1

The mean of the A and that of the B would give another matrix.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlx.core.error import UserError
from rlx.model.checkpoint import quiet

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."  # what peft writes before the name of every module
HEAD = f"{PREFIX}score.weight"
A, B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Adapter:
    """`matrices`: by adapted module, A (r, in) and B (out, r). `head`: the score head (1, H). All in float32."""

    config: LoraConfig
    matrices: Mapping[str, tuple[Tensor, Tensor]]
    head: Tensor

    def write(self, directory: Path) -> None:
        """Write the files that peft reads."""
        tensors = {HEAD: self.head}
        for module, (a, b) in self.matrices.items():
            tensors |= {f"{PREFIX}{module}{A}": a, f"{PREFIX}{module}{B}": b}
        tensors = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
        with quiet():
            self.config.save_pretrained(str(directory))
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})


def adapter_of(model: PeftModel) -> Adapter:
    """Return what the one adapter of `model` has learnt, in float32 on the CPU."""
    (config,) = model.peft_config.values()
    assert isinstance(config, LoraConfig)
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    return _adapter(copy.copy(config), {name: x.detach().float().cpu().clone() for name, x in state.items()})


def read_adapter(directory: Path) -> Adapter:
    """Raises UserError where one of the adapter's files or its score head is missing, or has values that are not finite."""
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).is_file():
            raise UserError(
                f"{directory}: has no {name}, so its score head and base.json are of no use; build it again"
            )
    with quiet():
        config = LoraConfig.from_pretrained(str(directory))
    assert isinstance(config, LoraConfig)
    tensors = load_file(directory / WEIGHTS)
    if HEAD not in tensors:
        raise UserError(f"{directory}: {WEIGHTS} has no score head ({HEAD}); it is no adapter of a reward model")
    if broken := next((name for name, x in tensors.items() if not x.isfinite().all()), None):
        raise UserError(f"{directory}: {broken} has values that are not finite; its training diverged")
    return _adapter(config, tensors)


def _adapter(config: LoraConfig, tensors: Mapping[str, Tensor]) -> Adapter:
    modules = [name.removeprefix(PREFIX).removesuffix(A) for name in sorted(tensors) if name.endswith(A)]
    matrices = {module: (tensors[f"{PREFIX}{module}{A}"], tensors[f"{PREFIX}{module}{B}"]) for module in modules}
    return Adapter(config, matrices, tensors[HEAD].float())


def concatenated(adapters: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
    """Return the one adapter whose product is the weighted mean of theirs, its head the mean of the heads.

    Raises UserError where they differ in rank, scale or modules.
    """
    assert len(adapters) == len(weights) > 0 and abs(sum(weights) - 1) < 1e-9, f"weights {weights} do not sum to 1"
    first = adapters[0]
    for i, other in enumerate(adapters[1:], 1):
        for name in ("r", "lora_alpha"):
            if (own := getattr(first.config, name)) != (its := getattr(other.config, name)):
                raise UserError(
                    f"reward models 0 and {i} cannot be averaged: {name} is {own} in one and {its} in the other"
                )
        if differ := set(first.matrices) ^ set(other.matrices):
            raise UserError(f"reward models 0 and {i} cannot be averaged: only one of them adapts {min(differ)}")
    config = copy.copy(first.config)  # alpha / rank, the scale of the product, stays
    config.r, config.lora_alpha = first.config.r * len(adapters), first.config.lora_alpha * len(adapters)
    matrices = {
        module: (
            torch.cat([adapter.matrices[module][0] for adapter in adapters]),
            torch.cat([w * adapter.matrices[module][1] for adapter, w in zip(adapters, weights, strict=True)], 1),
        )
        for module in first.matrices
    }
    heads = torch.stack([w * adapter.head.double() for adapter, w in zip(adapters, weights, strict=True)])
    return Adapter(config, matrices, heads.sum(0).float())
