"""Which failure was the first: of several processes, most fail because another one is gone, and say so at length."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from rlx.core.error import UserError, WorkerError
from rlx.process import atomic

# How gloo, NCCL and the rendezvous word that the other end is gone.
ECHOES = (
    "gloo/transport",
    "NCCL",
    "DistNetworkError",
    "DistBackendError",
    "closed by peer",
    "reset by peer",
    "Broken pipe",
)
ENDED = "ended.json"
PATIENCE = 15  # s that another node has to say why it failed

Key = TypeVar("Key")


@dataclass(frozen=True)
class Failure:
    """One process's, or the first of a node's. `stopped`: it was told to end."""

    reason: str
    time: float
    user_error: bool = False
    stopped: bool = False

    @property
    def rank(self) -> tuple[int, float]:
        """The smallest is the cause: what ended by itself, then what lost another process, then what was told to end."""
        echo = not self.user_error and any(word in self.reason for word in ECHOES)
        return (2 if self.stopped else int(echo), self.time)

    @property
    def own(self) -> bool:
        """Whether nothing else explains it."""
        return self.rank[0] == 0


def first(failures: Mapping[Key, Failure]) -> Key:
    return min(failures, key=lambda key: failures[key].rank)


def forget(logs: Path, node: int) -> None:
    """What an earlier attempt left; to be called by each node before any process starts."""
    (logs / f"node{node}" / ENDED).unlink(missing_ok=True)


def of_all_nodes(own: Failure, logs: Path, node: int, num_nodes: int) -> UserError | WorkerError:
    """Tell the other nodes why this one failed; as an exception, the first cause among all of them. A node whose failure
    may follow from another's waits a little for that one to speak."""
    if num_nodes > 1:
        path = logs / f"node{node}" / ENDED
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(asdict(own)))
    told, deadline = {node: own}, time.monotonic() + PATIENCE
    while num_nodes > 1 and not any(failure.own for failure in told.values()) and time.monotonic() < deadline:
        time.sleep(0.2)
        told |= _told(logs, num_nodes)
    return _error(told[first(told)])


def told_by_others(logs: Path, node: int, num_nodes: int) -> UserError | WorkerError | None:
    """Return why another node failed by itself, if one has; for a node that was told to end."""
    own = {other: failure for other, failure in _told(logs, num_nodes).items() if other != node and failure.own}
    return _error(own[first(own)]) if own else None


def _told(logs: Path, num_nodes: int) -> dict[int, Failure]:
    paths = {node: logs / f"node{node}" / ENDED for node in range(num_nodes)}
    return {
        node: Failure(**json.loads(path.read_text(encoding="utf-8"))) for node, path in paths.items() if path.is_file()
    }


def _error(cause: Failure) -> UserError | WorkerError:
    return UserError(cause.reason) if cause.user_error else WorkerError(cause.reason)
