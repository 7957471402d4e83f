"""A model's folder as it lies here: which names mean one, and whether it holds what transformers loads. Nothing is loaded."""

import json
from pathlib import Path

from rlx.core.error import UserError

BASE = "base.json"  # beside an adapter: which weights it belongs to
GGUF = (
    "GGUF, whose quantised weights cannot be trained; convert it to a directory with safetensors first "
    "(transformers reads it with gguf_file=; scripts/make_smollm2.py OUT --gguf FILE does it)"
)


def local_folder(name: str, key: str) -> Path | None:
    """Return the folder that `name` means, None where it is the id of a model on the Hub. `key` is the setting that gave
    `name`, for the message. Raises UserError where it is a path to no folder."""
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        raise UserError(f"{key}={name}: {GGUF}")
    if path.is_dir():
        return path
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UserError(f"{key}={name}: no such directory")
    return None


def check_model_folder(path: Path, name: str, key: str) -> None:
    """Raise UserError where the folder has no config or no weights in safetensors."""
    if not weight_files(path) and any(path.glob("*.gguf")):
        raise UserError(f"{key}={name}: {GGUF}")
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise UserError(f"{key}={name}: holds a LoRA adapter alone; merge it into its base model and save that")
    if (path / "adapter_config.json").is_file() and not (path / BASE).is_file():
        raise UserError(f"{key}={name}: holds a LoRA adapter beside a model; take it out, or merge it and save that")
    if not (path / "config.json").is_file():
        raise UserError(f"{key}={name}: no config.json in it, so it is no model directory of transformers")
    if not weight_files(path) and not (path / BASE).is_file():
        raise UserError(
            f"{key}={name}: no .safetensors files in it; save the model as safetensors (pickles are not loaded)"
        )


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that hold a model's weights: one, or the shards of the index. Raises UserError where the index
    is not readable."""
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{index}: is no index of safetensors files; save the model again") from error
        return [directory / name for name in sorted(shards)]
    single = directory / "model.safetensors"
    return [single] if single.is_file() else []
