"""Where the processes of one machine meet: at a port of its own that no other machine reaches."""

import os
import socket
from datetime import timedelta
from typing import Any

from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

BACKEND = "rlx-loopback"  # as torch's launcher is told
HERE = "127.0.0.1"
# By which gloo and NCCL are told on which interface they listen.
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class Loopback(RendezvousHandler):
    """Of one machine's processes. torch's own static rendezvous listens on all interfaces, at a port that must be chosen
    before and that another process may have taken until then; this one is given a socket that already listens."""

    def __init__(self, run_id: str, seconds: float) -> None:
        self._run_id, self._seconds = run_id, seconds
        self._store: Any = None  # a TCPStore

    @property
    def use_agent_store(self) -> bool:
        return True

    def get_backend(self) -> str:
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        if self._store is None:
            listening = socket.socket()
            listening.bind((HERE, 0))
            listening.listen()
            port = listening.getsockname()[1]
            fd, timeout = listening.detach(), timedelta(seconds=self._seconds)
            self._store = TCPStore(HERE, port, 1, True, timeout, multi_tenant=True, master_listen_fd=fd)
        where = RendezvousStoreInfo(HERE, self._store.port)
        return RendezvousInfo(PrefixStore(self._run_id, self._store), 0, 1, where)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None: ...

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self._run_id

    def shutdown(self) -> bool:
        return True


def use() -> None:
    """Let torch's launcher know the rendezvous, and the processes that are started from here on the interface; who has set
    another one keeps it."""
    rendezvous_handler_registry.register(BACKEND, _made)
    name = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if name is not None:
        for variable in INTERFACES:
            os.environ.setdefault(variable, name)


def _made(parameters: RendezvousParameters) -> RendezvousHandler:
    return Loopback(parameters.run_id, float(parameters.get("timeout", 600)))
