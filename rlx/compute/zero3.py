"""DeepSpeed ZeRO-3: AdamW's moments, the gradients and the weights are spread over the processes."""

from dataclasses import dataclass
from typing import ClassVar

from rlx.compute._zero import Zero
from rlx.core.numbers import NonNegativeInt


@dataclass(frozen=True)
class Zero3(Zero):
    """The policy's weights are gathered whole while it draws and is scored, layer by layer while it learns."""

    persistence_threshold: NonNegativeInt  # parameters of a tensor up to which it is kept whole

    stage: ClassVar[int] = 3
    spreads_weights: ClassVar[bool] = True

    def zero(self) -> dict[str, object]:
        return super().zero() | {
            "stage3_param_persistence_threshold": self.persistence_threshold,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
