"""The weighted mean of models' weights, for WARM reward models and soup references.

WARM: phi = (1/M) sum_i phi_i, featuriser and head (arXiv 2401.12187, eq. 2). Soup: alpha theta_1 + (1 - alpha) theta_2
(SALSA, arXiv 2411.01798).
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from rlx.core.error import UserError
from rlx.model.adapter import concatenated, read_adapter
from rlx.model.base_address import BaseAddress, is_adapter, read_address
from rlx.model.checkpoint import Weights

Source = Path | Mapping[str, Tensor]


def average_weights(sources: Sequence[Source], weights: Sequence[float]) -> dict[str, Tensor]:
    """sum_i weights_i * sources_i over state dicts or model directories, in the sources' own dtype.

    Summed in float64 and rounded once, so that equal sources give back their own bits and a weight of 1 keeps a source
    bit for bit. A source of weight 0 is checked but not read. Integer tensors (buffers) are copied from the first.
    Tensors that the first source ties stay tied. Raises UserError if names, shapes or dtypes differ, or if a source of
    positive weight holds NaN or infinity.
    """
    assert len(sources) == len(weights) > 0 and abs(sum(weights) - 1) < 1e-9, f"weights {weights} do not sum to 1"
    opened = [Weights(source) if isinstance(source, Path) else source for source in sources]
    names = _names(opened[0])
    for i, other in enumerate(opened[1:], 1):
        if (differ := set(names) ^ set(_names(other))) != set():
            raise UserError(f"models 0 and {i} cannot be averaged: only one of them has {min(differ)}")
    averaged: dict[str, Tensor] = {}
    tied: dict[tuple[int, torch.Size], Tensor] = {}
    for name in names:
        first = _tensor(opened[0], name)
        place = (first.data_ptr(), first.shape)
        if not isinstance(opened[0], Weights) and first.numel() and place in tied:
            averaged[name] = tied[place]
            continue
        for i, (source, weight) in enumerate(zip(sources, weights, strict=True)):
            if weight != 0:
                _demand_finite(name, first if i == 0 else _tensor(opened[i], name), i, source)
        averaged[name] = tied[place] = _mean(name, first, opened, weights)
    return averaged


def _demand_finite(name: str, tensor: Tensor, index: int, source: Source) -> None:
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        again = (
            f" ({source}; delete it, lower its learning rate and train it again)" if isinstance(source, Path) else ""
        )
        raise UserError(f"model {index} cannot be averaged: {name} holds NaN or infinity{again}")


def _mean(
    name: str, first: Tensor, opened: Sequence["Weights | Mapping[str, Tensor]"], weights: Sequence[float]
) -> Tensor:
    total = torch.zeros_like(first, dtype=torch.float64) if first.is_floating_point() else None
    # Of equal weights, the exact sum is divided once: a product for each would round, and the order would matter.
    equal = len(set(weights)) == 1
    for i, (source, weight) in enumerate(zip(opened, weights, strict=True)):
        tensor = first if i == 0 else _tensor(source, name)
        if tensor.shape != first.shape or tensor.dtype != first.dtype:
            raise UserError(
                f"models 0 and {i} cannot be averaged: {name} is {first.dtype} {tuple(first.shape)} in one and "
                f"{tensor.dtype} {tuple(tensor.shape)} in the other"
            )
        if total is not None and weight != 0:  # 0 * inf would be NaN
            total += tensor.double() * (1 if equal else weight)
    if total is None:
        return first.clone()
    return (total / len(weights) if equal else total).to(first.dtype)


@contextmanager
def averaged_directory(paths: Sequence[Path], weights: Sequence[float]) -> Iterator[Path]:
    """A temporary model directory: the first one's files with the weighted mean of all weights.

    Loading it as any checkpoint is loaded keeps what from_pretrained does on the way: renamed keys, ties, checks.
    """
    with tempfile.TemporaryDirectory(prefix="rlx-average-") as name:
        directory = Path(name) / "model"
        if all(map(is_adapter, paths)):
            _average_adapters(paths, weights, directory)
            yield directory
            return
        _average_models(paths, weights, directory)
        yield directory


def _average_models(paths: Sequence[Path], weights: Sequence[float], directory: Path) -> None:
    """Write the first one's files with the weighted mean of all weights."""
    shutil.copytree(paths[0], directory, ignore=shutil.ignore_patterns("model*.safetensors*", "snapshot-*"))
    save_file(average_weights(paths, weights), directory / "model.safetensors", metadata={"format": "pt"})


def _average_adapters(paths: Sequence[Path], weights: Sequence[float], directory: Path) -> None:
    """Write one adapter of the ranks of all: on their base, or on the mean of their bases."""
    adapters, addresses = [read_adapter(path) for path in paths], [read_address(path) for path in paths]
    bases = [address.checked(path) for address, path in zip(addresses, paths, strict=True)]
    if len({address.dtype for address in addresses}) > 1:
        raise UserError(f"{paths[0]} and others cannot be averaged: their bases are loaded in different types")
    shutil.copytree(paths[0], directory)
    concatenated(adapters, weights).write(directory)
    if len({address.content for address in addresses}) == 1:
        dataclasses.replace(addresses[0], path=str(bases[0])).write(directory)
        return
    base = directory.parent / "base"
    _average_models(bases, weights, base)
    BaseAddress(str(base), None, addresses[0].dtype).write(directory)


def _names(source: "Weights | Mapping[str, Tensor]") -> list[str]:
    return source.names() if isinstance(source, Weights) else sorted(source)


def _tensor(source: "Weights | Mapping[str, Tensor]", name: str) -> Tensor:
    return source.tensor(name) if isinstance(source, Weights) else source[name]
