"""Which weights an adapter belongs to: base.json beside it, with a hash of what it was trained on."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from rlx.core.error import UserError
from rlx.core.model_folder import BASE, weight_files
from rlx.model.checkpoint import weights_hash


@dataclass(frozen=True)
class BaseAddress:
    """`path`: the base's directory, absolute, or relative to the folder that holds the adapter's (the store). `content`: the
    hash of its weights, or None where the base was made for this adapter and nothing else."""

    path: str
    content: str | None
    dtype: str

    def write(self, directory: Path) -> None:
        """Write base.json."""
        (directory / BASE).write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")

    def directory(self, adapter: Path) -> Path:
        """Return the base's directory, for the adapter in the directory `adapter`."""
        return (adapter.absolute().parent / self.path).resolve()

    def checked(self, adapter: Path) -> Path:
        """Return the same. Raises UserError, naming both, where the base is not there or is not what the adapter was
        trained on."""
        path = self.directory(adapter)
        if not weight_files(path):
            raise UserError(
                f"{adapter}: its base {path} is not there; restore it, or delete {adapter.name} and it is trained again"
            )
        if self.content is not None and self.content != weights_hash(path):
            raise UserError(
                f"{adapter}: its base {path} has changed since the adapter was trained on it; restore that, or delete "
                f"{adapter.name} and it is trained again"
            )
        return path


def address_of(base: Path, store: Path, dtype: str) -> BaseAddress:
    """Return the address of the weights in `base`; relative where they lie in the folder `store`."""
    inside = base.resolve().is_relative_to(store.resolve())
    path = os.path.relpath(base.resolve(), store.resolve()) if inside else str(base.resolve())
    return BaseAddress(path, weights_hash(base), dtype)


def is_adapter(directory: Path) -> bool:
    """Whether a reward model lies there as an adapter with the address of its base."""
    return (directory / BASE).is_file()


def read_address(directory: Path) -> BaseAddress:
    """Return what base.json says."""
    return BaseAddress(**json.loads((directory / BASE).read_text(encoding="utf-8")))
