"""What a model that learns takes of a process: its weights, masters, gradients and AdamW's moments.

They are those of ZeRO (arXiv 1910.02054, section 3 and figure 1), with what the code does beside. bfloat16 models train in
mixed precision, on CPUs as on GPUs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlx.estimate.held import LEARNING, PHASES, Held, Phase
from rlx.estimate.passes import Passes
from rlx.estimate.sharing import Sharing, mixed_precision, sharing_of
from rlx.estimate.size import ModelSize

GATHERED_AT_ONCE = 10**9  # parameters; DeepSpeed's stage3_max_live_parameters


@dataclass(frozen=True)
class Learner:
    """A model in training. `trunks`: of the policy's size, with the critic's. `says_words`: whether it has an output head, which a
    reward model lacks. `accumulates`: whether gradients of several micro-batches are summed, so that they stand while the
    next one is learnt from."""

    name: str
    size: ModelSize
    rank: int
    trunks: float
    says_words: bool
    mixed: bool
    accumulates: bool
    sharing: Sharing

    @property
    def trained(self) -> int:
        """Parameters that learn."""
        return math.ceil(self.trunks * (self.size.adapters(self.rank) if self.rank else self.size.parameters))

    @property
    def frozen(self) -> int:
        """Parameters under the adapters: a critic's own trunk uses the policy's, where a process has them whole."""
        trunks = self.trunks if "weights" in self.sharing.spread else 1
        return math.ceil(trunks * self.size.parameters) if self.rank else 0

    @property
    def width(self) -> int:
        """Bytes of a parameter that learns. DeepSpeed keeps every weight in the narrow type and fp32 masters beside; else
        what is trained is the fp32 master."""
        return self.size.bytes_per_parameter if self.mixed and self.sharing.deepspeed else 4

    @property
    def masters(self) -> bool:
        """Whether what learns lies in fp32 and computes under autocast."""
        return self.mixed and not self.sharing.casts

    def passes(self) -> Passes | None:
        """None where the architecture is not known."""
        if self.size.architecture is None:
            return None
        kept = "bfloat16" if self.mixed and (self.rank or self.sharing.casts) else "float32"
        adapters = "bfloat16" if self.mixed and self.sharing.casts else "float32"
        return Passes(self.size.architecture, kept, self.rank, adapters, self.masters)

    def rows(self) -> list[Held]:
        """Weights, gradients and moments, each with its formula."""
        sharing, trained, width = self.sharing, self.trained, self.width
        spread, own = f" / {sharing.processes} processes", self.size.bytes_per_parameter

        def row(what: str, kind: str, number: int, how: str, when: tuple[Phase, ...] = PHASES) -> Held:
            shown = how + (spread if kind in sharing.spread and sharing.processes > 1 else "")
            return Held(what, sharing.part(kind, number), when, kind in sharing.offloaded, shown)

        rows = []
        if self.rank:
            how = f"{self.frozen:,} x {own}"
            rows.append(row(f"{self.name}'s frozen weights", "weights", self.frozen * own, how))
        whose = "adapters" if self.rank else "weights"
        rows.append(row(f"{self.name}'s {whose}", "weights", trained * width, f"{trained:,} x {width}"))
        if sharing.deepspeed:
            rows.append(row("their fp32 masters", "masters", trained * 4, f"{trained:,} x 4"))
        rows.append(row("AdamW's moments", "moments", trained * 8, f"{trained:,} x 8"))
        when: tuple[Phase, ...] = LEARNING if self.accumulates else ("updating",)
        rows.append(row("gradients", "gradients", trained * width, f"{trained:,} x {width}", when))
        if self.says_words and not self.rank and (shape := self.size.architecture):
            first = shape.vocabulary * shape.hidden * width
            how = "of one more micro-batch, before it is added" if self.accumulates else "the first to be there"
            rows.append(row("gradients of the output head", "gradients", first, how, ("learning",)))
        if sharing.deepspeed and width == 2:
            part = -(-trained // sharing.processes) * 4
            how = f"{trained:,} x 4{spread if sharing.processes > 1 else ''}"
            rows.append(
                Held("gradients in fp32, for the step", part, ("updating",), "gradients" in sharing.offloaded, how)
            )
        if sharing.buckets:
            rows.append(Held("DDP's buckets", trained * 4, how=f"{trained:,} x 4, the gradients in flight"))
        if self.masters and not self.rank and self.size.architecture is None:
            when = ("drawing", "scoring", "learning")
            rows.append(Held("bf16 copies of the weights", trained * 2, when, how=f"{trained:,} x 2, autocast's"))
        if "weights" in sharing.spread and (sharing.processes > 1 or "weights" in sharing.offloaded):
            rows += self._gathered()
        return rows

    def _gathered(self) -> list[Held]:
        number, own = self.trained + self.frozen, self.size.bytes_per_parameter
        if not self.sharing.deepspeed:
            how = "FSDP, to draw with and to be scored"
            return [Held("a whole copy of the policy", number * own, ("drawing", "scoring"), how=how)]
        how = "ZeRO-3, while it draws and is scored"
        at_once = min(number, GATHERED_AT_ONCE) * own
        return [
            Held("policy gathered whole", number * own, ("drawing", "scoring"), how=how),
            Held("weights gathered in passing", at_once, LEARNING, how="ZeRO-3, at most 1e9 parameters at once"),
        ]


def trunks_of(config: Mapping[str, Any], size: ModelSize) -> float:
    """What the policy and its critic learn, in policies. Half a critic has the whole embedding beside its layers."""
    critic = config["optimizer"].get("critic")
    if critic != "half":
        return 2 if critic == "separate" else 1
    if (shape := size.architecture) is None:
        return 2
    embedding = shape.vocabulary * shape.hidden / size.parameters
    return 1 + embedding + (1 - embedding) * math.ceil(shape.layers / 2) / shape.layers


def learner(
    config: Mapping[str, Any], name: str, size: ModelSize, accumulates: bool, trunks: float = 1, says_words: bool = True
) -> Learner:
    """A model of the config in training."""
    rank = config["model"].get("lora_rank") or 0
    return Learner(name, size, rank, trunks, says_words, mixed_precision(config), accumulates, sharing_of(config))
