"""What one process holds of a run's models, from its config: each line with its formula, and which of them stand together.

Weights, gradients and AdamW are those of ZeRO (arXiv 1910.02054, section 3 and figure 1), with what the code does beside.
bfloat16 models train in mixed precision, on CPUs as on GPUs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlx.core.rules import has_steps
from rlx.estimate.size import Architecture, ModelSize, known_size

When = Literal["always", "learning", "drawing"]
GATHERED_AT_ONCE = 10**9  # parameters; DeepSpeed's stage3_max_live_parameters
SAVED_PER_NUMBER = 17  # 34 bytes per token, layer and hidden unit at 2 bytes a number: arXiv 2205.05198, section 4.1
LOGIT_COPIES = 4  # of a chunk, in its backward pass: logits, softmax and two gradients
DRAWN_LOGIT_BYTES = 36  # per word of the vocabulary and row: the sampler's copies, three of them in float64


@dataclass(frozen=True)
class Held:
    """Bytes of one process, on its device or (`offloaded`) in the CPU's memory, all of the time or in one phase."""

    what: str
    bytes: int
    when: When = "always"
    offloaded: bool = False
    how: str = ""


@dataclass(frozen=True)
class Sharing:
    """What of the policy `compute` spreads over `processes`, and what of it lies in the CPU's memory."""

    processes: int
    spread: frozenset[str]
    offloaded: frozenset[str]
    deepspeed: bool
    on_cpu: bool

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
    compute = config["compute"]
    name = str(compute["_target_"]).split(".")[-2]
    offload = compute.get("offload")
    off = OFFLOADED.get("all" if offload is True else str(offload), set())
    return Sharing(
        processes=compute.get("num_processes") or 1,
        spread=frozenset(SPREAD.get(name, ())),
        offloaded=frozenset(off - ({"gradients"} if name == "zero1" else set())),
        deepspeed=name.startswith("zero"),
        on_cpu=name == "cpu",
    )


def held(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    """What stands in one process's memory while the policy learns and while it draws, largest unknowns apart: the
    framework's own context, fragmentation, messages in flight."""
    sharing = sharing_of(config)
    if not has_steps(config):
        return beside(config, size)
    return [*policy(config, size, sharing), *beside(config, size), *in_passing(config, size, sharing)]


def mixed_precision(config: Mapping[str, Any]) -> bool:
    """Whether the policy learns in bfloat16."""
    return config["model"].get("dtype") == "bfloat16"


def policy(config: Mapping[str, Any], size: ModelSize, sharing: Sharing) -> list[Held]:
    """The policy that learns, with its critic."""
    rank = config["model"].get("lora_rank") or 0
    trunks = 2 if config["optimizer"].get("critic") == "separate" else 1
    trained = trunks * (size.adapters(rank) if rank else size.parameters)
    frozen = trunks * size.parameters if rank else 0
    mixed = mixed_precision(config)
    # DeepSpeed keeps every weight in the narrow type and fp32 masters beside; else what is trained is the fp32 master.
    width = size.bytes_per_parameter if mixed and sharing.deepspeed else 4
    spread = f" / {sharing.processes} processes"

    def row(what: str, kind: str, number: int, how: str, when: When = "always") -> Held:
        shown = how + (spread if kind in sharing.spread and sharing.processes > 1 else "")
        return Held(what, sharing.part(kind, number), when, kind in sharing.offloaded, shown)

    whose = "adapters" if rank else "weights"
    rows = [
        row(
            "policy's frozen weights",
            "weights",
            frozen * size.bytes_per_parameter,
            f"{frozen:,} x {size.bytes_per_parameter}",
        )
    ] * bool(frozen)
    rows.append(row(f"policy's {whose}", "weights", trained * width, f"{trained:,} x {width}"))
    if sharing.deepspeed:
        rows.append(row("their fp32 masters", "masters", trained * 4, f"{trained:,} x 4"))
    rows.append(row("AdamW's moments", "moments", trained * 8, f"{trained:,} x 8"))
    rows.append(row("gradients", "gradients", trained * width, f"{trained:,} x {width}", "learning"))
    if sharing.deepspeed and width == 2:
        part = -(-trained // sharing.processes) * 4
        how = f"{trained:,} x 4{spread if sharing.processes > 1 else ''}"
        rows.append(Held("gradients in fp32, for the step", part, "learning", "gradients" in sharing.offloaded, how))
    if mixed and not sharing.deepspeed and "weights" not in sharing.spread and not rank:
        rows.append(Held("bf16 copies of the weights", trained * 2, "learning", how=f"{trained:,} x 2, autocast's"))
    if "weights" in sharing.spread and (sharing.processes > 1 or "weights" in sharing.offloaded):
        rows += _gathered(trained, frozen, width, size, sharing)
    return rows


def _gathered(trained: int, frozen: int, width: int, size: ModelSize, sharing: Sharing) -> list[Held]:
    whole = (trained + frozen) * size.bytes_per_parameter
    if not sharing.deepspeed:
        return [Held("a whole copy of the policy", whole, "drawing", how="FSDP, to draw with and to be scored")]
    at_once = min(trained + frozen, GATHERED_AT_ONCE) * size.bytes_per_parameter
    return [
        Held("policy gathered whole", whole, "drawing", how="ZeRO-3, while it draws and is scored"),
        Held("weights gathered in passing", at_once, "learning", how="ZeRO-3, at most 1e9 parameters at once"),
    ]


def beside(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    """The models that learn nothing: whole in every process, in the model's dtype."""
    adapters = bool(config["model"].get("lora_rank"))
    learns = has_steps(config)
    soup = (config["reference"].get("num_policies") or 1) > 1 and config["reference"].get("alpha") != 1.0
    rows = []
    if soup:
        rows.append(Held("reference", size.weights, how="a soup of its own"))
    if adapters and learns:
        rows.append(Held("start" if soup else "reference and start", 0, how="the policy without its adapters"))
    else:
        rows.append(Held("start" if soup else "reference and start", size.weights))
    reward = reward_size(config["model"], size)
    members, kind = config["reward"].get("num_members", 1), str(config["reward"]["_target_"]).split(".")[-2]
    if kind.startswith("ensemble"):
        rows.append(Held("reward models", members * reward.weights, how=f"{members} members"))
    elif kind != "gold":
        rows.append(Held("reward model", reward.weights, how="the members' mean" if kind == "warm" else "one member"))
    if kind == "warm":
        rows.append(Held("a member of the mean", reward.weights, "drawing", how="one at a time, at evaluations"))
    world = str(config["world"]["_target_"])
    if world.startswith("rlx.world.preferences."):
        given = config["world"].get("gold")
        gold = (known_size({**config["model"], "path": given}) if given else None) or reward
        rows.append(Held("gold reward model", gold.weights))
    return rows


def reward_size(model: Mapping[str, Any], size: ModelSize) -> ModelSize:
    """Of the reward models' trunk; that of the policy where the model names no other, or nothing tells."""
    other = model.get("reward_path")
    return (known_size({**model, "path": other, "revision": model.get("reward_revision")}) if other else None) or size


def in_passing(config: Mapping[str, Any], size: ModelSize, sharing: Sharing) -> list[Held]:
    """Activations, logits and the cache of attention: rough, and only where the architecture is known."""
    shape = size.architecture
    if shape is None:
        return []
    width = 2 if mixed_precision(config) else 4
    world, sampler, optimizer, compute = (config[group] for group in ("world", "sampler", "optimizer", "compute"))
    new = sampler.get("max_new_tokens") or 0
    tokens = new + (world.get("max_prompt_tokens") or 0)
    drawn = -(-config["num_prompts"] // sharing.processes) * (optimizer.get("num_samples") or 1)
    share = -(-config["num_prompts"] // (optimizer.get("num_minibatches") or 1) // sharing.processes)
    rows = (compute.get("micro_batch_size") or share) * kept(optimizer)
    trunks = 2 if optimizer.get("critic") == "separate" else 1
    found = [
        Held(
            "activations, roughly",
            trunks * activations(shape, rows * tokens, width, bool(compute.get("gradient_checkpointing"))),
            "learning",
            how=f"{rows} completions of {tokens} tokens; micro_batch_size, gradient_checkpointing",
        ),
        Held("logits, roughly", logits(shape, rows * new), "learning", how="of a chunk of tokens at a time"),
    ]
    at_once = min(sampler.get("batch_size") or 0, drawn)
    if at_once:
        cache = at_once * tokens * shape.cached_per_token * size.bytes_per_parameter
        found.append(
            Held("keys and values", cache, "drawing", how=f"{at_once} completions at once; sampler.batch_size")
        )
        found.append(Held("next words", at_once * shape.vocabulary * DRAWN_LOGIT_BYTES, "drawing", how="roughly"))
    return found


def kept(optimizer: Mapping[str, Any]) -> int:
    """Completions of a prompt that are learnt from."""
    if "num_kept" in optimizer:
        return optimizer["num_kept"]
    return optimizer.get("num_samples") or 1


def activations(shape: Architecture, tokens: int, width: int, checkpointing: bool) -> int:
    """Bytes saved for the backward pass. A layer saves about 17 numbers per token and hidden unit (attention's weights are
    computed again); with checkpointing one, and one layer's 17 while it is computed again. Good to a factor of two."""
    number = tokens * shape.hidden * width
    return number * (shape.layers + SAVED_PER_NUMBER) if checkpointing else number * SAVED_PER_NUMBER * shape.layers


def logits(shape: Architecture, tokens: int) -> int:
    """fp32 logits with what their backward pass adds, of no more than a chunk."""
    from rlx.model.output_head import CHUNK

    return min(tokens * shape.vocabulary, max(CHUNK, shape.vocabulary)) * 4 * LOGIT_COPIES


def most(rows: list[Held], offloaded: bool = False) -> int:
    """The most that stands at once: what is always there, and the larger of the two phases."""
    return max(_in_phase(rows, when, offloaded) for when in ("learning", "drawing"))


def _in_phase(rows: list[Held], phase: When, offloaded: bool = False) -> int:
    return sum(row.bytes for row in rows if row.offloaded == offloaded and row.when in ("always", phase))


def gpu_with_vllm(config: Mapping[str, Any], size: ModelSize, rows: list[Held]) -> int | None:
    """Bytes that a GPU needs which a process shares with a colocated vLLM; None where there is none. vLLM takes its share
    whole, whether it needs it or not: while it sleeps, where it is told to, the policy has that too."""
    sampler = config["sampler"]
    if sampler.get("mode") != "colocate":
        return None
    taken = sampler["gpu_memory_utilization"]
    own = size.weights / sampler["tensor_parallel_size"] / taken  # its copy, in its share, without keys and values
    learning, drawing = _in_phase(rows, "learning"), _in_phase(rows, "drawing") / (1 - taken)
    return int(max(own, drawing, learning if sampler["sleep"] else learning / (1 - taken)))


def disk_bytes(config: Mapping[str, Any], size: ModelSize) -> tuple[int, int]:
    """Upper bounds of what a cell's artefacts and its run directory hold. While a checkpoint is written, those to be kept
    are still there; with DeepSpeed it holds masters and moments beside the weights."""
    policies, members = config["reference"].get("num_policies", 1), config["reward"].get("num_members", 1)
    reward = reward_size(config["model"], size)
    if str(config["reward"]["_target_"]).startswith("rlx.reward.gold."):
        members = 0
    artefacts = policies * size.weights + members * reward.weights
    if str(config["world"]["_target_"]).startswith("rlx.world.preferences.") and not config["world"].get("gold"):
        artefacts += reward.weights
    rank = config["model"].get("lora_rank") or 0
    artefacts += training_bytes(config, size)
    if not has_steps(config):
        return artefacts, size.weights
    trunks = 2 if config["optimizer"].get("critic") == "separate" else 1
    trained = size.adapters(rank) if rank else size.parameters
    checkpoint = _checkpoint(config, trunks * trained)
    best = (
        3 * 4 * trained if config["checkpoint"]["keep_best"] else 0
    )  # at the last checkpoint, the newest, one in writing
    return artefacts, size.weights + (config["checkpoint"]["keep"] + 1) * checkpoint + best


def training_bytes(config: Mapping[str, Any], size: ModelSize) -> int:
    """What the checkpoints of one artefact in training hold: the newest, and the one before until it is whole."""
    rank = config["model"].get("lora_rank") or 0
    models = (size, reward_size(config["model"], size))
    return 2 * _checkpoint(config, max(model.adapters(rank) if rank else model.parameters for model in models))


def _checkpoint(config: Mapping[str, Any], trained: int) -> int:
    """Bytes of one, of that many parameters."""
    sharing = sharing_of(config)
    if sharing.deepspeed:  # the weights twice: in its own files, and put together
        return trained * (2 * (2 if mixed_precision(config) else 4) + 4 + 8)
    return trained * (4 + 8)
