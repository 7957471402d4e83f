"""The processes that work on one run together, each on its share; alone, a process has everything and nothing is sent.

What is sent are Python objects between processes of one run, which torch pickles; nothing from outside comes this way.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from torch import distributed

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


def gathered(own: T) -> list[T]:
    """What every process has, by rank."""
    if size() == 1:
        return [own]
    parts: list = [None] * size()
    distributed.all_gather_object(parts, own)
    return parts


def concatenated(own: Sequence[T]) -> list[T]:
    """The shares of all processes, one after another: the inverse of `share`."""
    return [item for part in gathered(list(own)) for item in part]


def agreed(value: T, patiently: bool = False) -> T:
    """The first process's value. `patiently`: it may take hours to come by, as where another run builds an artefact."""
    if size() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0, group=_patient if patiently else None)
    return box[0]


def wait(patiently: bool = False) -> None:
    """Until all are here. `patiently`: one of them may do hours of work alone before."""
    if size() > 1:
        distributed.barrier(group=_patient if patiently else None)
