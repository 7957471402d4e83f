"""Where a model's files lie: a local directory as it is, a Hub model through its cache.

Safetensors only, no remote code.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled
from safetensors import safe_open
from torch import Tensor
from transformers.integrations import deepspeed
from transformers.utils import logging as transformers_logging

from rlx.core.error import UserError, first_line
from rlx.core.model_folder import check_model_folder, local_folder, weight_files

log = logging.getLogger(__name__)
# Everything that from_pretrained reads, and no pickled weights.
PATTERNS = ["*.json", "*.safetensors", "tokenizer.model", "*.jinja", "vocab.txt", "merges.txt"]


class NotAtHandError(UserError):
    """A model of the Hub that is not on this machine, and the Hub cannot be reached."""


def local_directory(name: str, revision: str | None, key: str) -> Path:
    """The directory of a local path or of a Hub model's snapshot (downloaded if it is not cached).

    `key` is the setting that gave `name`, for the message. Raises UserError where there is nothing to load.
    """
    return _checked(_found(name, revision, key, PATTERNS), name, key)


def described_directory(name: str, revision: str | None, key: str) -> Path:
    """As `local_directory`, but of a Hub model everything except its weights is fetched: its config and its tokenizer."""
    path = _found(name, revision, key, [pattern for pattern in PATTERNS if pattern != "*.safetensors"])
    return _checked(path, name, key) if Path(name).expanduser().is_dir() else path


def _found(name: str, revision: str | None, key: str, patterns: list[str]) -> Path:
    return local_folder(name, key) or _snapshot(name, revision, key, patterns)


def _checked(path: Path, name: str, key: str) -> Path:
    check_model_folder(path, name, key)
    return path


def _snapshot(name: str, revision: str | None, key: str, patterns: list[str]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as ex:
        raise NotAtHandError(
            f"{key}={name}: not in the Hub cache and the Hub cannot be reached; download it where there is a network "
            f"(hf download {name}), or give the path of a local directory"
        ) from ex
    except (HfHubHTTPError, HFValidationError) as ex:
        raise UserError(
            f"{key}={name}: the Hub does not give it ({first_line(ex)}); check the name, or log in: hf auth login"
        ) from ex


class Weights:
    """The tensors of a checkpoint by name, read one at a time."""

    def __init__(self, directory: Path) -> None:
        self._files = [safe_open(str(path), framework="pt") for path in weight_files(directory)]
        self._where = {name: file for file in self._files for name in file.keys()}  # noqa: SIM118 (not a mapping)

    def names(self) -> list[str]:
        return sorted(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._where[name].get_slice(name).get_shape())

    def tensor(self, name: str) -> Tensor:
        return self._where[name].get_tensor(name)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and load reports: what they tell is checked by whoever loads."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def loading() -> Iterator[None]:
    """Quiet, and whole: while ZeRO-3 trains a policy, transformers would take apart whatever else is loaded."""
    training = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        with quiet():
            yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = training


def content_hash(directory: Path) -> str:
    """Of every file that decides what from_pretrained loads; cached for as long as the files do not change."""
    files = sorted(
        p
        for p in directory.iterdir()
        if p.is_file() and p.suffix in {".json", ".safetensors", ".model", ".jinja", ".txt"}
    )
    return _hash(files)


def weights_hash(directory: Path) -> str:
    """Of the weights and of the config that says what to make of them; cached as `content_hash` is."""
    return _hash(sorted([*weight_files(directory), directory / "config.json"]))


def _hash(files: list[Path]) -> str:
    return _hash_files(tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in files))


@cache
def _hash_files(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()
