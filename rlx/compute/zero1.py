"""DeepSpeed ZeRO-1: AdamW's moments are spread over the processes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rlx.compute._zero import Zero


@dataclass(frozen=True)
class Zero1(Zero):
    """Weights stay whole in every process."""

    offload: Literal["none", "optimizer"]

    stage: ClassVar[int] = 1
