"""What one process holds while each kind of artefact is built: a run's peak may lie there, before its first step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlx.core.rules import has_steps, kind
from rlx.estimate.frozen import bases_of, members_of, reward_size, trains_gold
from rlx.estimate.held import Held, most
from rlx.estimate.learner import Learner, learner
from rlx.estimate.memory import frozen_passes, judging, lengths, looked_at, program
from rlx.estimate.passes import SCORED_AT_A_TIME
from rlx.estimate.sharing import sharing_of
from rlx.estimate.size import ModelSize

AVERAGED = 8  # bytes of a number while weights are summed: float64


@dataclass(frozen=True)
class Stage:
    """Bytes of one process while an artefact is built, and what they are made of."""

    name: str
    rows: list[Held]

    @property
    def bytes(self) -> int:
        """At most, on the device."""
        return most(self.rows)

    @property
    def how(self) -> str:
        """The largest of its lines."""
        largest = max(self.rows[1:], key=lambda row: row.bytes * (not row.offloaded))  # the first is the program
        return f"most of it {largest.what}: {largest.how}" if largest.how else f"most of it {largest.what}"


def stages(config: Mapping[str, Any], size: ModelSize) -> list[Stage]:
    """The stages that the config's artefacts are built in."""
    first, reward = [program(sharing_of(config))], reward_size(config["model"], size)
    found = [
        Stage("SFT policies", [*first, *_fitted(config, "sft", "policy", size)]),
        Stage("reference set, pairs", [*first, *_drawn(config, size)]),
    ]
    if members_of(config) or trains_gold(config):
        probed = [Held("trunk", reward.weights), _judged(config, reward)]
        trained = _fitted(config, "reward_model", "reward model", reward)
        found += [Stage("score head", [*first, *probed]), Stage("reward models", [*first, *trained])]
        found.append(Stage("their accuracies", [*first, *_measured(config, reward)]))
    found.append(Stage("start completions", [*first, *_drawn_by_the_start(config, size, looked_at(config))]))
    if not has_steps(config):
        wanted = config["optimizer"]["num_samples"] * config["evaluation"]["num_prompts"]
        found.append(Stage("pools", [*first, *_drawn_by_the_start(config, size, wanted)]))
    return found


def _fitted(config: Mapping[str, Any], group: str, name: str, size: ModelSize) -> list[Held]:
    """A model that TRL trains: chosen and rejected side by side for a reward model."""
    numbers = config[group]
    share = max(1, numbers["batch_size"] // sharing_of(config).processes)
    micro = min(numbers.get("micro_batch_size") or share, share)
    own: Learner = learner(config, name, size, micro < share, says_words=group == "sft")
    passes, rows, tokens = own.passes(), micro * (2 if group == "reward_model" else 1), sum(lengths(config))
    if passes is None:
        return own.rows()
    recomputed = bool(numbers["gradient_checkpointing"])
    number = passes.fitting(rows, tokens, recomputed, "reward" if group == "reward_model" else "policy")
    how = f"{rows} rows of {tokens} tokens; {group}.micro_batch_size, {group}.gradient_checkpointing"
    return [*own.rows(), Held("activations", number, ("learning",), how=how)]


def _drawn(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    """SFT policy 0 draws, with gold beside it where gold labels what it draws."""
    numbers = config["reward_model"]
    at_once = int(numbers["sampling_batch_size"])
    if kind(config, "world") == "preferences":
        at_once = min(at_once, -(-int(numbers["num_reference_completions"]) // sharing_of(config).processes))
    return _drawing(config, size, at_once, "reward_model.sampling_batch_size")


def _drawn_by_the_start(config: Mapping[str, Any], size: ModelSize, wanted: int) -> list[Held]:
    """Completions drawn as a rollout is: those of held-out prompts, and best-of-n's pools."""
    share = -(-wanted // sharing_of(config).processes)
    return _drawing(config, size, min(config["sampler"].get("batch_size") or 0, share), "sampler.batch_size")


def _drawing(config: Mapping[str, Any], size: ModelSize, at_once: int, setting: str) -> list[Held]:
    """An SFT policy that draws so many completions at once, which `setting` bounds."""
    passes = frozen_passes(config, size, rank=0)
    rows = [Held("SFT policy", size.weights, how=f"{size.parameters:,} x {size.bytes_per_parameter}")]
    if passes is None or not at_once:
        return rows
    how = f"keys, values and next words of {at_once} completions at once; {setting}"
    return [*rows, Held("to draw with", passes.drawing(at_once, *lengths(config), learns=False), how=how)]


def _judged(config: Mapping[str, Any], reward: ModelSize) -> Held:
    tokens = sum(lengths(config))
    number = judging(config, reward, SCORED_AT_A_TIME)
    return Held("to score with", number, how=f"{SCORED_AT_A_TIME} rows of {tokens} tokens at once")


def _measured(config: Mapping[str, Any], reward: ModelSize) -> list[Held]:
    """Members one by one on pairs; where there are several, an average of their weights too."""
    members, rank = members_of(config), config["model"].get("lora_rank") or 0
    bases = bases_of(config, members) if rank else 1
    rows = [Held("reward model", bases * reward.weights, how=f"{reward.parameters:,} x {reward.bytes_per_parameter}")]
    rows.append(_judged(config, reward))
    if members > 1 and not rank:
        shape = reward.architecture
        largest = shape.vocabulary * shape.hidden if shape else 0
        mapped = members * reward.weights
        rows.append(Held("members' files", mapped, ("updating",), offloaded(config), "mapped while they are averaged"))
        rows.append(
            Held("the sum", 2 * largest * AVERAGED, ("updating",), offloaded(config), "of one tensor in float64")
        )
    return rows


def offloaded(config: Mapping[str, Any]) -> bool:
    """Whether what lies in the CPU's memory lies beside the device's."""
    return not sharing_of(config).on_cpu
