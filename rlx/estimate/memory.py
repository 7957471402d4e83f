"""What one process holds of a run, from its config: each line with its formula, and which of them stand together.

Two lines are no formula: what Python and its libraries take on a CPU, measured, and what CUDA takes, from the literature.
"""

from collections.abc import Mapping
from typing import Any

from rlx.core.rules import has_steps, kind
from rlx.estimate.frozen import beside, members_of, reward_size, trains_gold
from rlx.estimate.held import Held, in_phase
from rlx.estimate.learner import Learner, learner, trunks_of
from rlx.estimate.passes import Passes
from rlx.estimate.sharing import Sharing, sharing_of
from rlx.estimate.size import ModelSize

# Bytes of a process that has imported everything and trained the lab's model of 139 thousand parameters: resident memory
# on Linux with torch 2.13 and transformers 5.19 (scripts/check_plan.py, its first rows), and what kernels keep to multiply
# larger matrices with: of an SFT policy of 34 million parameters, 40 MB that no trace sees.
PROGRAM = (690 + 40) * 10**6
# Bytes of a GPU before the first tensor: context and kernels take "1-2GB" (transformers' documentation, "Anatomy of model
# training"); NCCL's buffers are within that.
CUDA = 2 * 10**9


def held(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    """What stands in one process's memory in each phase of a step, and at evaluations; not in it are fragmentation and
    messages in flight."""
    sharing = sharing_of(config)
    rows = [program(sharing)]
    if not has_steps(config):
        return [*rows, *beside(config, size), *_scored(config, size, None)]
    own = policy(config, size)
    return [
        *rows,
        *own.rows(),
        *beside(config, size),
        *_drawn(config, own),
        *_scored(config, size, own),
        *_learnt(config, own),
    ]


def program(sharing: Sharing) -> Held:
    """What a process takes before it has a model."""
    if sharing.on_cpu:
        return Held("Python with torch and transformers", PROGRAM, how="measured")
    return Held("CUDA", CUDA, how="context, kernels and NCCL; from the literature")


def policy(config: Mapping[str, Any], size: ModelSize) -> Learner:
    """The policy that learns, with its critic."""
    micro, share = micro_of(config)
    return learner(config, "policy", size, micro < share, trunks_of(config, size))


def micro_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """Prompts that a process learns from at once, and its share of a minibatch."""
    share = -(
        -config["num_prompts"] // (config["optimizer"].get("num_minibatches") or 1) // sharing_of(config).processes
    )
    return min(config["compute"].get("micro_batch_size") or share, share), share


def lengths(config: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of a prompt and of a completion, at most."""
    new = config["sampler"].get("max_new_tokens") or 0
    return config["world"].get("max_prompt_tokens") or 0, new


def drawn_at_once(config: Mapping[str, Any]) -> int:
    """Completions that a process draws at once: of a rollout, of an evaluation, of the start, whichever are most, and no
    more than sampler.batch_size."""
    processes = sharing_of(config).processes
    rollout = -(-config["num_prompts"] // processes) * (config["optimizer"].get("num_samples") or 1)
    return min(config["sampler"].get("batch_size") or 0, max(rollout, -(-looked_at(config) // processes)))


def looked_at(config: Mapping[str, Any]) -> int:
    """Held-out prompts of the largest evaluation."""
    return max(config["evaluation"]["num_prompts"], config["evaluation"]["final_num_prompts"])


def kept(optimizer: Mapping[str, Any]) -> int:
    """Completions of a prompt that are learnt from."""
    if "num_kept" in optimizer:
        return optimizer["num_kept"]
    return 2 if "pairing" in optimizer else optimizer.get("num_samples") or 1


def _drawn(config: Mapping[str, Any], own: Learner) -> list[Held]:
    passes, at_once = own.passes(), drawn_at_once(config)
    if passes is None or not at_once:
        return []
    number = passes.drawing(at_once, *lengths(config), learns=True)
    how = f"keys, values and next words of {at_once} completions at once; sampler.batch_size"
    return [Held("to draw with", number, ("drawing",), how=how)]


def _scored(config: Mapping[str, Any], size: ModelSize, own: Learner | None) -> list[Held]:
    """The larger of the policy's pass and a judge's: they come one after another."""
    passes = own.passes() if own else frozen_passes(config, size, 0)
    reward, rows, (prompt, new) = (
        reward_size(config["model"], size),
        config["compute"].get("rows") or 64,
        lengths(config),
    )
    if passes is None:
        return []
    critic = config["optimizer"].get("critic") or "none" if own else "none"
    number = passes.scoring(rows, prompt, new, critic, learns=own is not None)
    if members_of(config) or trains_gold(config):
        number = max(number, judging(config, reward, _judged_at_once(config)))
    return [Held("to score with", number, ("scoring",), how=f"{rows} completions at once; compute.rows")]


def _judged_at_once(config: Mapping[str, Any]) -> int:
    """Rows that gold scores at an evaluation, or a scorer on the reference set when it is loaded."""
    looks = -(-looked_at(config) // sharing_of(config).processes)
    most_rows = max(looks, int(config["reward_model"]["num_reference_completions"]))
    return min(config["compute"].get("rows") or 64, most_rows)


def judging(config: Mapping[str, Any], reward: ModelSize, rows: int) -> int:
    """A pass of a reward model over so many rows; 0 where its architecture is not known."""
    passes = frozen_passes(config, reward, config["model"].get("lora_rank") or 0)
    return passes.judging(rows, sum(lengths(config))) if passes else 0


def frozen_passes(config: Mapping[str, Any], size: ModelSize, rank: int) -> Passes | None:
    """Of a model that learns nothing, with adapters where `rank` is not 0; None where its architecture is not known."""
    if size.architecture is None:
        return None
    return Passes(size.architecture, "bfloat16" if size.bytes_per_parameter == 2 else "float32", rank, "float32", False)


def _learnt(config: Mapping[str, Any], own: Learner) -> list[Held]:
    optimizer, compute, passes = config["optimizer"], config["compute"], own.passes()
    if passes is None:
        return []
    rows = micro_of(config)[0] * kept(optimizer)
    prompt, new = lengths(config)
    recomputed, critic = bool(compute.get("gradient_checkpointing")), optimizer.get("critic") or "none"
    compared = kind(config, "optimizer") == "superhf"
    number = passes.learning(rows, prompt, new, critic, recomputed, compared)
    how = f"{rows} completions of {prompt + new} tokens; micro_batch_size, gradient_checkpointing"
    return [Held("activations", number, ("learning",), how=how)]


def gpu_with_vllm(config: Mapping[str, Any], size: ModelSize, rows: list[Held]) -> int | None:
    """Bytes that a GPU needs which a process shares with a colocated vLLM; None where there is none. vLLM takes its share
    whole, whether it needs it or not: while it sleeps, where it is told to, the policy has that too."""
    sampler = config["sampler"]
    if sampler.get("mode") != "colocate":
        return None
    taken = sampler["gpu_memory_utilization"]
    own = size.weights / sampler["tensor_parallel_size"] / taken  # its copy, in its share, without keys and values
    learning = max(in_phase(rows, "learning"), in_phase(rows, "updating"))
    drawing = max(in_phase(rows, "drawing"), in_phase(rows, "scoring")) / (1 - taken)
    return int(max(own, drawing, learning if sampler["sleep"] else learning / (1 - taken)))
