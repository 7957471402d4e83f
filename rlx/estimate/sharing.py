"""What of a model in training `compute` spreads over processes, and what of it lies in the CPU's memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlx.core.rules import kind


@dataclass(frozen=True)
class Sharing:
    """What of the policy `compute` spreads over `processes`, and what of it lies in the CPU's memory."""

    processes: int
    spread: frozenset[str]
    offloaded: frozenset[str]
    deepspeed: bool
    on_cpu: bool
    casts: bool  # whether bfloat16 models compute in it throughout, without autocast
    buckets: bool  # whether DDP keeps the gradients once more

    def part(self, what: str, number: int) -> int:
        return -(-number // self.processes) if what in self.spread else number


SPREAD: dict[str, set[str]] = {
    "zero1": {"masters", "moments"},
    "zero2": {"masters", "moments", "gradients"},
    "zero3": {"masters", "moments", "gradients", "weights"},
    "fsdp": {"masters", "moments", "gradients", "weights"},
}
OFFLOADED = {"optimizer": {"masters", "moments", "gradients"}, "all": {"masters", "moments", "gradients", "weights"}}


def sharing_of(config: Mapping[str, Any]) -> Sharing:
    compute, name = config["compute"], kind(config, "compute")
    offload = compute.get("offload")
    off = OFFLOADED.get("all" if offload is True else str(offload), set())
    return Sharing(
        processes=compute.get("num_processes") or 1,
        spread=frozenset(SPREAD.get(name, ())),
        offloaded=frozenset(off - ({"gradients"} if name == "zero1" else set())),
        deepspeed=name.startswith("zero"),
        on_cpu=name == "cpu",
        casts=name in SPREAD,
        buckets=name == "ddp" and (compute.get("num_processes") or 1) > 1,
    )


def mixed_precision(config: Mapping[str, Any]) -> bool:
    """Whether the policy learns in bfloat16."""
    return config["model"].get("dtype") == "bfloat16"
