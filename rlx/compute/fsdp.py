"""torch's fully sharded data parallel, version 2: weights, gradients and AdamW's moments are spread over the processes."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from rlx.compute._processes import SeveralProcesses
from rlx.core.error import UserError


@dataclass(frozen=True)
class FSDP(SeveralProcesses):
    """The modules that are gathered one at a time are the model's decoder layers. GPUs only: on CPUs transformers would
    train with DDP without a word."""

    offload: bool  # to the CPU's memory

    in_parts: ClassVar[bool] = True
    spreads_weights: ClassVar[bool] = True
    casts_weights: ClassVar[bool] = True  # layer by layer, from masters

    def start(self) -> None:
        super().start()  # first: what it says of visible GPUs holds only until CUDA is asked
        if not torch.cuda.is_available():
            raise UserError(
                "compute=fsdp needs GPUs and this machine has none: use compute=zero3, which is the same on CPUs"
            )

    def distribution(self) -> dict[str, object]:
        config = {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "state_dict_type": "FULL_STATE_DICT",
            "cpu_offload": self.offload,
        }
        return {"fsdp": True, "fsdp_config": config}
