"""Known GPUs by name, and how long a run would take on them: from stated rates, where nothing was timed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlx.core.rules import has_steps, kind
from rlx.estimate.duration import Duration, completions, evaluated, updates
from rlx.estimate.frozen import members_of, reward_size, trains_gold
from rlx.estimate.learner import trunks_of
from rlx.estimate.memory import drawn_at_once, kept, lengths
from rlx.estimate.sharing import mixed_precision, sharing_of
from rlx.estimate.size import ModelSize

UTILISATION = 0.4  # of the peak while learning and scoring: between what Llama 3 (38-43 %, arXiv 2407.21783) and PaLM (46 %) report
LAUNCHES = 0.001  # s per layer and token of transformers' `generate`, which starts its kernels one by one
UPDATE = 0.05  # s per step of AdamW beside the passes


@dataclass(frozen=True)
class Card:
    """Memory in bytes, its rate in bytes per second; dense operations per second in bfloat16 and float32 (no TF32)."""

    memory: float
    bandwidth: float
    bf16: float
    fp32: float


# The names are those of rlx.core.settings.PlanSettings. NVIDIA's data sheets (A100: 2021; H100 SXM: 2023; H200 SXM: 2024;
# L40S: 2023; RTX A6000: 2020; RTX 4090: the Ada whitepaper), without sparsity. Memory is the name's, in 10^9 bytes.
CARDS = {
    "a100_40gb": Card(40e9, 1.555e12, 312e12, 19.5e12),
    "a100_80gb": Card(80e9, 2.039e12, 312e12, 19.5e12),
    "h100": Card(80e9, 3.35e12, 989e12, 67e12),
    "h200": Card(141e9, 4.8e12, 989e12, 67e12),
    "l40s": Card(48e9, 0.864e12, 362e12, 91.6e12),
    "a6000": Card(48e9, 0.768e12, 154.8e12, 38.7e12),
    "rtx4090": Card(24e9, 1.008e12, 165.2e12, 82.6e12),
}


def from_card(config: Mapping[str, Any], size: ModelSize, name: str) -> Duration:
    """2 operations per parameter and token forward, 4 backward (2 through frozen weights), 2 more where activations are
    computed again; tokens at their upper bound. A token is drawn by reading weights and half of its final keys and values."""
    card, processes, reward = CARDS[name], sharing_of(config).processes, reward_size(config["model"], size)
    rate = UTILISATION * (card.bf16 if mixed_precision(config) else card.fp32) * processes
    tokens, members = sum(lengths(config)), members_of(config)
    scorers = members if "ensemble" in kind(config, "reward") else min(members, 1)
    optimizer, rank = config["optimizer"], config["model"].get("lora_rank") or 0
    drawn, looked = completions(config), evaluated(config)
    seconds = {"draw": _drawing(config, size, card, drawn / processes)}
    seconds["score"] = drawn * tokens * 2 * (2 * size.parameters + scorers * reward.parameters) / rate
    if has_steps(config):
        each = 2 + (2 if rank else 4) + (2 if config["compute"].get("gradient_checkpointing") else 0)
        learnt = drawn * kept(optimizer) / (optimizer.get("num_samples") or 1) * optimizer.get("num_epochs", 1)
        seconds["learn"] = (
            learnt * tokens * each * trunks_of(config, size) * size.parameters / rate + updates(config) * UPDATE
        )
    judges = scorers + members + trains_gold(config)
    looks = looked * tokens * 2 * (3 * size.parameters + judges * reward.parameters) / rate
    seconds["measure on held-out prompts"] = looks + _drawing(config, size, card, looked / processes)
    source = (
        f"estimated for {processes} x {name}, not measured: FLOPs / ({UTILISATION:.0%} of its peak), tokens at the larger of "
        f"memory's rate and {1000 * LAUNCHES:g} ms a layer; artefacts not in it"
    )
    return Duration(seconds, source)


def _drawing(config: Mapping[str, Any], size: ModelSize, card: Card, rows: float) -> float:
    """Seconds of a process for its share of completions."""
    prompt, new = lengths(config)
    at_once, shape = drawn_at_once(config) or 64, size.architecture
    cache = 0 if shape is None else at_once * (prompt + new / 2) * shape.cached_per_token * size.bytes_per_parameter
    launches = 0 if shape is None or config["sampler"].get("mode") else LAUNCHES * shape.layers
    return -(-rows // at_once) * new * max(launches, (size.weights + cache) / card.bandwidth)
