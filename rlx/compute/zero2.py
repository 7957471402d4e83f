"""DeepSpeed ZeRO-2: AdamW's moments and the gradients are spread over the processes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rlx.compute._zero import Zero


@dataclass(frozen=True)
class Zero2(Zero):
    """Weights stay whole in every process."""

    offload: Literal["none", "optimizer"]

    stage: ClassVar[int] = 2
