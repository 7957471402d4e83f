"""How big a model is: counted where it is at hand, else guessed from its name, and said which."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.estimate.shapes import SHAPES, like_a_llama

BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Architecture:
    """What a config.json says of a causal LM. `sides`: inputs and outputs of all linear layers that adapters go on, the
    output head apart. `cached_per_token`: numbers that attention keeps of a token, in all layers."""

    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    sides: int
    cached_per_token: int
    head: int = 0  # parameters of an output head of its own, which a reward model lacks
    config: Any = field(default=None, compare=False)  # of transformers, to trace passes with


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    bytes_per_parameter: int
    source: str  # where the number is from, for the reader to judge it
    architecture: Architecture | None = None  # where the model's config is at hand

    @property
    def weights(self) -> int:
        return self.parameters * self.bytes_per_parameter

    def as_reward_model(self) -> "ModelSize":
        """The same trunk with a score head in place of the output head."""
        if self.architecture is None:
            return self
        return replace(self, parameters=self.parameters - self.architecture.head + self.architecture.hidden)

    def adapters(self, rank: int) -> int:
        """Parameters of adapters of `rank` on every linear layer but the output head: rank times each one's inputs and
        outputs. Where the architecture is not known, as of a Llama of that size."""
        shape = self.architecture or published(like_a_llama(self.parameters))
        return rank * shape.sides


def architecture_of(model: Any) -> Architecture:
    """Of a causal LM of transformers, wherever its weights are (the meta device will do)."""
    import torch
    from transformers.pytorch_utils import Conv1D

    text, head = model.config.get_text_config(), model.get_output_embeddings()
    linear = [x for x in model.modules() if isinstance(x, torch.nn.Linear | Conv1D) and x is not head]
    heads = text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Architecture(
        parameters=sum(x.numel() for x in model.parameters()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        sides=sum(sum(x.weight.shape) for x in linear),
        cached_per_token=2 * text.num_hidden_layers * (getattr(text, "num_key_value_heads", None) or heads) * size,
        head=0 if head is None or head.weight is model.get_input_embeddings().weight else head.weight.numel(),
        config=model.config,
    )


def architecture_in(folder: Path) -> Architecture | None:
    """Of the config.json in `folder`, without memory for weights; None if there is none, or of no causal LM that we know."""
    from transformers import AutoConfig

    try:
        return _architecture(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def published(numbers: Mapping[str, Any]) -> Architecture:
    """Of what a config.json says, written out in rlx/estimate/shapes.py."""
    from transformers import AutoConfig

    kind = numbers["model_type"]
    return _architecture(AutoConfig.for_model(kind, **{k: v for k, v in numbers.items() if k != "model_type"}))


def _architecture(config: Any) -> Architecture:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return architecture_of(AutoModelForCausalLM.from_config(config))


def size_of(model: Mapping[str, Any]) -> ModelSize | None:
    """Of a config's `model` node, without loading its weights; None if nothing tells."""
    width = BYTES.get(str(model.get("dtype", "float32")), 4)
    path = model.get("path")
    if path is None:
        from hydra.utils import instantiate
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        shape = architecture_of(instantiate(dict(model)).policy(None))
        return ModelSize(shape.parameters, 4, "counted", shape)
    folder, where = Path(path).expanduser(), str(path)
    if not folder.is_dir() and (cached := _in_hub_cache(str(path), model.get("revision"))):
        folder, where = cached, "the Hub cache"
    if folder.is_dir():
        shape = architecture_in(folder)
        if found := parameters_in(folder):
            return ModelSize(found, width, f"counted in {where}", shape)
        if shape is not None:
            return ModelSize(shape.parameters, width, f"counted from config.json in {where}", shape)
    if numbers := SHAPES.get(str(path)):
        shape = published(numbers)
        return ModelSize(shape.parameters, width, f"from the published config of {path}", shape)
    if named := re.search(r"(?i)(\d+(?:\.\d+)?)\s*(b|m)(?![a-z])", str(path).rpartition("/")[2]):
        scale = 1e9 if named[2].lower() == "b" else 1e6
        parameters = int(float(named[1]) * scale)
        shape = published(like_a_llama(parameters))
        return ModelSize(parameters, width, f"guessed from the name {path!r}, in the shape of a Llama", shape)
    return None


def parameters_in(folder: Path) -> int:
    """Parameters in a folder's safetensors files, from their headers; 0 if there are none."""
    total = 0
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                count = 1
                for side in tensor["shape"]:
                    count *= side
                total += count
    return total


def _in_hub_cache(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # not a Hub name
        return None
    return Path(found).parent if isinstance(found, str) else None


def known_size(model: Mapping[str, Any]) -> ModelSize | None:
    """`size_of`, or None for a model that is not at hand yet."""
    try:
        return size_of(model)
    except (UserError, ImportError, AttributeError, OSError):
        return None
