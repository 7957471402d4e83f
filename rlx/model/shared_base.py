"""Reward models as adapters on one frozen base: the base stands in memory once, however many of them score.

A process keeps a base for as long as one of its reward models is in use, so members, gold and their mean share it.
"""

import dataclasses
import logging
import warnings
import weakref
from pathlib import Path
from typing import Any

import torch
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from rlx.core.error import UserError
from rlx.model import attention
from rlx.model.adapter import Adapter, read_adapter
from rlx.model.base_address import BaseAddress, read_address
from rlx.model.lent_weights import borrowed
from rlx.model.reward_trunk import load_trunk

log = logging.getLogger(__name__)


class SharedBase:
    """A frozen reward trunk in eval mode. Its own score head is not used."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.requires_grad_(False).eval()
        self._num_added = 0
        self._active: str | None = None

    def adapted(self, adapter: Adapter, config: PreTrainedConfig, shown: str = "reward model") -> "AdaptedRewardModel":
        """Return the reward model that `adapter` makes of the base. Raises UserError, naming `shown`, where it does not fit."""
        name = f"rlx{self._num_added}"
        self._num_added += 1
        _check_fits(self.model, adapter, shown)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of every adapter after the first
            inject_adapter_in_model(_plain(adapter), self.model, name, low_cpu_mem_usage=True)
        for module, layer in self._layers():
            for matrices, matrix in zip((layer.lora_A, layer.lora_B), adapter.matrices[module], strict=True):
                # In float32 beside a base of any dtype: peft computes the product in the adapter's own precision.
                matrices[name].weight = nn.Parameter(matrix.float().to(self.model.device), requires_grad=False)
        self.model.eval()
        self._active = None
        return AdaptedRewardModel(self, name, adapter, config)

    def trunk(self, name: str) -> Any:
        """Return the trunk, with the adapter `name` alone from now on."""
        if self._active != name:
            for _, layer in self._layers():
                layer.set_adapter(name, inference_mode=True)
            self._active = name
        return self.model.base_model

    def remove(self, name: str) -> None:
        """Free the memory of an adapter."""
        self._active = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that another adapter becomes the active one
            for _, layer in self._layers():
                layer.delete_adapter(name)

    def _layers(self) -> list[tuple[str, LoraLayer]]:
        return [(name, module) for name, module in self.model.named_modules() if isinstance(module, LoraLayer)]


class AdaptedRewardModel:
    """What `rlx.model.score_head` asks of a reward model, from a shared base: `config`, `device`, `score` and `base_model`."""

    def __init__(self, base: SharedBase, name: str, adapter: Adapter, config: PreTrainedConfig) -> None:
        self.base, self.adapter, self.config, self._name = base, adapter, config, name
        self._head = nn.Linear(adapter.head.shape[1], 1, bias=False)
        self._head.weight = nn.Parameter(adapter.head, requires_grad=False)
        weakref.finalize(self, base.remove, name).atexit = False

    @property
    def device(self) -> torch.device:
        return self.base.model.device

    @property
    def score(self) -> nn.Linear:
        """The score head, where the base is."""
        return self._head.to(self.device)

    @property
    def base_model(self) -> Any:
        """The trunk with this model's adapter, until another's is asked for."""
        return self.base.trunk(self._name)

    def to(self, device: Any) -> "AdaptedRewardModel":
        """Move the base, and with it all reward models that share it."""
        self.base.model.to(device)
        return self


_BASES: weakref.WeakValueDictionary[tuple[str, str], SharedBase] = weakref.WeakValueDictionary()


def load_adapted(directory: Path) -> AdaptedRewardModel:
    """Return the reward model whose adapter and base address are in `directory`; a base that is in memory is not loaded again.

    Raises UserError where the base is gone or has changed, and where the adapter is not whole or of another base.
    """
    adapter, address = read_adapter(directory), read_address(directory)
    path = address.checked(directory)
    key = (str(path.resolve()), address.dtype)
    base = _BASES.get(key)
    if base is None:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        base = SharedBase(load_trunk(path, getattr(torch, address.dtype), tokenizer, attention.chosen()))
        if address.content is not None:  # else it is made for this one model, in a folder that is gone soon
            _BASES[key] = base
    if freed := borrowed(base.model, path):
        log.info("reward models on %s use %.2f GB of the policy's frozen weights", path.name, freed / 1e9)
    return base.adapted(adapter, AutoConfig.from_pretrained(directory), str(directory))


def save_adapted(model: AdaptedRewardModel, address: BaseAddress, directory: Path) -> None:
    """Write what `load_adapted` reads but for the tokenizer."""
    model.adapter.write(directory)
    model.config.save_pretrained(directory)
    address.write(directory)


def _plain(adapter: Adapter) -> Any:
    """The config of the LoRA layers alone: the head lies beside them."""
    names = set(adapter.matrices)
    return dataclasses.replace(
        adapter.config, modules_to_save=None, task_type=None, target_modules=names, lora_dropout=0.0
    )


def _check_fits(model: PreTrainedModel, adapter: Adapter, shown: str) -> None:
    modules = dict(model.named_modules())
    for name, (a, b) in adapter.matrices.items():
        layer: Any = modules.get(name)
        if layer is None:
            raise UserError(
                f"{shown}: adapts {name}, which its base {model.name_or_path} does not have; it is another's adapter"
            )
        own: Any = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
        shape: tuple[int, ...] = tuple(own.weight.shape)
        if sorted(shape) != sorted((b.shape[0], a.shape[1])):
            raise UserError(
                f"{shown}: its adapter of {name} is for weights of shape {(b.shape[0], a.shape[1])}, and those of its base "
                f"{model.name_or_path} have {shape}; it is the adapter of another base"
            )
