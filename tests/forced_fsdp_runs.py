"""As several_runs, with FSDP on CPUs: accelerate, which takes it for GPUs only, is told that it has been chosen."""

from pathlib import Path

import several_runs
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from rlx.compute._processes import SeveralProcesses
from rlx.compute.fsdp import FSDP

_started = AcceleratorState.__init__


def _forced(self, *args, fsdp_plugin=None, **keywords) -> None:
    _started(self, *args, fsdp_plugin=fsdp_plugin, **keywords)
    if fsdp_plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
        if self._mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self._mixed_precision)
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def work(listing: Path) -> None:
    FSDP.start = SeveralProcesses.start  # which is without the refusal
    AcceleratorState.__init__ = _forced
    several_runs.work(listing)
