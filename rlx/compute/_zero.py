"""DeepSpeed's ZeRO (arXiv 1910.02054) as transformers.TrainingArguments take it."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import distributed
from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]

from rlx.compute._processes import SeveralProcesses, backend


@dataclass(frozen=True)
class Zero(SeveralProcesses):
    """A stage of ZeRO. There is no optimizer block on purpose: torch's AdamW is used, and nothing has to be compiled."""

    offload: Literal["none", "optimizer", "all"]  # "all": weights too, where they are spread

    stage: ClassVar[int]
    in_parts: ClassVar[bool] = True
    casts_weights: ClassVar[bool] = True  # whose masters lie beside them

    def start(self) -> None:
        super().start()
        if self.num_processes == 1 and not distributed.is_initialized():  # DeepSpeed wants a group of one, too
            os.environ.setdefault("LOCAL_RANK", "0")
            distributed.init_process_group(backend(), store=HashStore(), rank=0, world_size=1)
        if not torch.cuda.is_available():
            import deepspeed.ops

            # An all-reduce for inference, which DeepSpeed would compile for minutes when processes first meet on CPUs.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # pyright: ignore[reportAttributeAccessIssue]

    def zero(self) -> dict[str, object]:
        """The choice's own part of `zero_optimization`."""
        offloaded = {"none": [], "optimizer": ["optimizer"], "all": ["optimizer", "param"]}[self.offload]
        return {f"offload_{what}": {"device": "cpu"} for what in offloaded}

    def distribution(self) -> dict[str, object]:
        config: dict[str, Any] = {
            "zero_optimization": {"stage": self.stage, **self.zero()},
            "train_batch_size": "auto",
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": "auto",
            "gradient_clipping": "auto",
            "bf16": {"enabled": "auto"},
            "fp16": {"enabled": "auto"},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        }
        return {"deepspeed": config}
