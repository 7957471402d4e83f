"""The processes that work on one run together, each on its share; alone, a process has everything and nothing is sent.

What is sent goes as bytes of JSON and safetensors (`message.py`): torch's own collectives of objects would unpickle, and so
run, whatever reaches the port.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from rlx.process.message import packed, unpacked

T = TypeVar("T")
_patient: Any = None  # a group of all processes; waits longer than their usual one


def have_patience(patience: timedelta) -> None:
    """Set how long `agreed` and `wait` take if they are to be patient. Every process must call this, at the same point."""
    global _patient
    _patient = distributed.new_group(backend="gloo", timeout=patience)


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def grouped() -> bool:
    """Whether a back end may spread a model over the processes: some do so over one alone."""
    return distributed.is_initialized()


def first() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return rank() == 0


def share(total: int) -> slice:
    """This process's part of `total` things: consecutive, as even as can be, those of the first processes one longer."""
    least, more = divmod(total, size())
    start = rank() * least + min(rank(), more)
    return slice(start, start + least + (rank() < more))


def gathered(own: T, group: Any = None) -> list[T]:
    """What every process of the group has, by rank; of all processes without one."""
    num = size() if group is None else distributed.get_world_size(group)
    if num == 1:
        return [own]
    sent = _bytes_of(packed(own))
    lengths = [torch.zeros(1, dtype=torch.long) for _ in range(num)]
    distributed.all_gather(lengths, torch.tensor([len(sent)]), group=group)
    longest = max(int(length) for length in lengths)
    parts = [torch.empty(longest, dtype=torch.uint8) for _ in range(num)]
    distributed.all_gather(parts, torch.nn.functional.pad(sent, (0, longest - len(sent))), group=group)
    return [_value_of(part[: int(length)]) for part, length in zip(parts, lengths, strict=True)]


def concatenated(own: Sequence[T]) -> list[T]:
    """The shares of all processes, one after another: the inverse of `share`."""
    return [item for part in gathered(list(own)) for item in part]


def agreed(value: T, patiently: bool = False) -> T:
    """The first process's value. `patiently`: it may take hours to come by, as where another run builds an artefact."""
    if size() == 1:
        return value
    group = _patient if patiently else None
    sent = _bytes_of(packed(value)) if first() else torch.empty(0, dtype=torch.uint8)
    length = torch.tensor([len(sent)])
    distributed.broadcast(length, src=0, group=group)
    if not first():
        sent = torch.empty(int(length), dtype=torch.uint8)
    distributed.broadcast(sent, src=0, group=group)
    return value if first() else _value_of(sent)


def wait(patiently: bool = False) -> None:
    """Until all are here. `patiently`: one of them may do hours of work alone before."""
    if size() > 1:
        distributed.barrier(group=_patient if patiently else None)


def _bytes_of(message: bytes) -> Tensor:
    return torch.frombuffer(bytearray(message), dtype=torch.uint8)


def _value_of(sent: Tensor) -> Any:
    return unpacked(sent.numpy().tobytes())
