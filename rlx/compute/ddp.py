"""Data parallel: every process holds the whole model and learns from its share of each minibatch."""

from dataclasses import dataclass

from rlx.compute._processes import SeveralProcesses


@dataclass(frozen=True)
class DDP(SeveralProcesses):
    """torch's DistributedDataParallel; with one process, no wrapper at all: a single GPU."""

    def distribution(self) -> dict[str, object]:
        return {"ddp_find_unused_parameters": False}  # there are none, and looking for them takes time
