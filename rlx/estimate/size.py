"""How big a model is, and what memory training it takes: parameters and optimiser state, not activations."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.core.error import UserError

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ADAM_MOMENTS = 2  # AdamW keeps a mean and a variance for each trained parameter, in the parameter's own type


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    bytes_per_parameter: int
    source: str  # where the number is from, for the reader to judge it

    @property
    def weights(self) -> int:
        return self.parameters * self.bytes_per_parameter


def training_bytes(size: ModelSize, trained_share: float, critic: str | None, members: int) -> dict[str, int]:
    """Bytes that one process holds while the policy learns, by what they are for. `trained_share` is 1 for full
    fine-tuning; `critic` "separate" has a trunk of its own, "shared" none; `members` reward models score."""
    trunks = 2 if critic == "separate" else 1
    return {
        "policy and critic": trunks * size.weights,
        "gradients": int(trunks * trained_share * size.weights),
        "AdamW": int(trunks * trained_share * size.weights * ADAM_MOMENTS),
        "reference and start policy": 2 * size.weights,
        "reward models": members * size.weights,
    }


def size_of(model: Mapping[str, Any]) -> ModelSize | None:
    """Of a config's `model` node, without loading its weights; None if nothing tells."""
    width = BYTES.get(str(model.get("dtype", "float32")), 4)
    path = model.get("path")
    if path is None:
        from hydra.utils import instantiate
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        policy = instantiate(dict(model)).policy(None)
        return ModelSize(sum(p.numel() for p in policy.parameters()), 4, "counted")
    folder = Path(path).expanduser()
    if folder.is_dir() and (found := parameters_in(folder)):
        return ModelSize(found, width, f"counted in {path}")
    if (cached := _in_hub_cache(str(path), model.get("revision"))) and (found := parameters_in(cached)):
        return ModelSize(found, width, "counted in the Hub cache")
    if named := re.search(r"(?i)(\d+(?:\.\d+)?)\s*(b|m)(?![a-z])", str(path).rpartition("/")[2]):
        scale = 1e9 if named[2].lower() == "b" else 1e6
        return ModelSize(int(float(named[1]) * scale), width, f"guessed from the name {path!r}")
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


def held_bytes(config: Mapping[str, Any], size: ModelSize) -> dict[str, int]:
    """`training_bytes` of a composed config."""
    members, kind = config["reward"].get("num_members", 1), str(config["reward"]["_target_"])
    scoring = members if "ensemble" in kind else 1  # warm has become one model, single is one
    share = 0.01 if config["model"].get("lora_rank") else 1.0
    return training_bytes(size, share, config["optimizer"].get("critic"), scoring)


def disk_bytes(config: Mapping[str, Any], size: ModelSize) -> tuple[int, int]:
    """Upper bounds of what a cell's artefacts and its run directory hold."""
    policies, members = config["reference"].get("num_policies", 1), config["reward"].get("num_members", 1)
    run = size.weights * (1 + config["checkpoint"]["keep"] * 3)  # the model; weights and both moments of AdamW
    return (policies + members) * size.weights, run
