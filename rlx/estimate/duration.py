"""How long a run will take: from the nearest finished run on this machine, or else from a stated rule."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rlx.artefact.store import Recipe, Store
from rlx.core.rules import has_steps
from rlx.run.name import LATER
from rlx.run.status import state_of

LIKE = (
    "world",
    "model",
    "optimizer",
    "reward",
    "reference",
    "compute",
)  # most alike first decides which run is nearest
MAKES_ARTEFACTS = ("world", "model", "sft", "reward_model", "cleaner", "attribution")
# Stages of a run's costs, by what they grow with. The others are artefacts, by name: spent once.
GROWS_WITH = {"combine": "nothing", "best of n": "nothing", "policy": "rollouts", "final measurement": "final prompts"}
FOUND = 0.2  # s; an artefact that cost less was not built but found
UPDATE_OVERHEAD, TOKEN_OVERHEAD = 0.03, 0.0015  # s per update and per drawn token of a batch, whatever the model's size
EFFICIENCY = 0.3  # of the machine's matrix-product rate that small batches reach


@dataclass(frozen=True)
class PastRun:
    name: str
    config: dict[str, Any]
    costs: dict[str, float]


@dataclass(frozen=True)
class Duration:
    seconds: dict[str, float]  # stage -> seconds
    source: str


def completions(config: Mapping[str, Any]) -> int:
    """Completions drawn over the whole training; of best-of-n, in its pools, which an earlier run may have drawn."""
    if not has_steps(config):
        optimizer = config["optimizer"]
        prompts = config["evaluation"]["num_prompts"] + optimizer["distill"] * optimizer["num_distilled"]
        return prompts * optimizer["num_samples"]
    return config["num_steps"] * config["num_prompts"] * (config["optimizer"].get("num_samples") or 1)


def evaluated(config: Mapping[str, Any]) -> int:
    """Held-out completions drawn: at the start, at every interval, and at the end."""
    numbers = config["evaluation"]
    return (1 + config["num_steps"] // numbers["interval"]) * numbers["num_prompts"] + 2 * numbers["final_num_prompts"]


def updates(config: Mapping[str, Any]) -> int:
    """Steps of the torch optimiser."""
    if not has_steps(config):
        return 0
    optimizer = config["optimizer"]
    return config["num_steps"] * optimizer.get("num_epochs", 1) * (optimizer.get("num_minibatches") or 1)


def past_runs(runs_dir: Path) -> list[PastRun]:
    """Finished runs whose costs are known."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, eight times as fast, where it was built in
    found = []
    for path in sorted(runs_dir.glob("*/provenance.json")):
        try:
            if state_of(path.parent).state != "done":
                continue
            costs = json.loads(path.read_text(encoding="utf-8"))["costs"]
            config = yaml.load((path.parent / "config.yaml").read_text(encoding="utf-8"), loader)
        except (OSError, ValueError, KeyError, yaml.YAMLError):
            continue
        if isinstance(config, dict) and isinstance(costs, dict):
            found.append(PastRun(path.parent.name, config, {str(k): float(v) for k, v in costs.items()}))
    return found


def from_past(config: Mapping[str, Any], runs: list[PastRun]) -> Duration | None:
    """The policy stages of the nearest past run of the same world, model and optimizer, scaled to this one's length."""
    alike = [run for run in runs if all(_target(run.config, g) == _target(config, g) for g in LIKE[:3])]
    if not alike:
        return None
    near = max(
        alike, key=lambda run: (-abs(math.log(_batch(run.config) / _batch(config))), _likeness(run.config, config))
    )
    scale = {
        "rollouts": completions(config) / completions(near.config),
        "final prompts": config["evaluation"]["final_num_prompts"] / near.config["evaluation"]["final_num_prompts"],
        "nothing": 1.0,
    }
    seconds = {stage: near.costs[stage] * scale[by] for stage, by in GROWS_WITH.items() if stage in near.costs}
    rough = "" if _batch(near.config) == _batch(config) else "; roughly, its rollouts were of another size"
    return Duration(seconds, f"measured in {near.name}, scaled to this length{rough}") if seconds else None


def _batch(config: Mapping[str, Any]) -> int:
    return config["num_prompts"] * (config["optimizer"].get("num_samples") or 1)


def _likeness(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[bool]:
    return [one.get(group) == other.get(group) for group in LIKE]


def of_artefacts(config: Mapping[str, Any], names: list[str], runs: list[PastRun]) -> tuple[float, list[str]]:
    """Seconds that runs with the same data and training of members spent on these artefacts, and the names none built.
    An artefact of a kind (reward model 3) takes what the longest of its kind (reward model 0) took."""
    spent: dict[str, float] = {}
    for run in runs:
        if all(_of(run.config, group) == _of(config, group) for group in MAKES_ARTEFACTS):
            for stage, seconds in run.costs.items():
                spent[_kind(stage)] = max(seconds, spent.get(_kind(stage), 0.0))
    unknown = [name for name in names if spent.get(_kind(name), 0.0) < FOUND]
    return sum(spent.get(_kind(name), 0.0) for name in names), unknown


def of_recipes(
    config: Mapping[str, Any], recipes: Mapping[str, Recipe], store: Store, runs: list[PastRun]
) -> tuple[float, list[str]]:
    """As `of_artefacts`, for the missing artefacts by name; what no run has built may have been built by a sweep, and then
    its kin in the store say how long that took."""
    seconds, unknown = of_artefacts(config, list(recipes), runs)
    kin = {name: store.seconds_of_kin(recipes[name]) for name in unknown}
    known = [took for took in kin.values() if took is not None]
    return seconds + sum(known), [name for name, took in kin.items() if took is None]


def _of(config: Mapping[str, Any], group: str) -> Any:
    """The group's settings; of a run from before there was the group, the choice that is the same as none."""
    return config.get(group, LATER.get(group))


def _kind(name: str) -> str:
    return name.rstrip("0123456789 ")


def from_rule(config: Mapping[str, Any], parameters: int, flops: float) -> Duration:
    """2 floating-point operations per parameter and token forward, 6 to learn from it. Tokens at their upper bound,
    `flops` per second is what this machine does on matrix products, and so does every process. Within a factor of about
    three."""
    flops *= config["compute"].get("num_processes") or 1
    world, optimizer = config["world"], config["optimizer"]
    new = config["sampler"].get("max_new_tokens") or 64
    tokens = new + (world.get("max_prompt_tokens") or new)
    members = config["reward"].get("num_members", 1) if "ensemble" in str(config["reward"]["_target_"]) else 1
    epochs = optimizer.get("num_epochs", 1) if has_steps(config) else 0
    passes = 2 * (1 + 1 + members) + 6 * epochs  # draw, reference, members; learn
    batch = config["sampler"].get("batch_size") or 64
    learn = (
        completions(config) * tokens * parameters * passes / (EFFICIENCY * flops) + updates(config) * UPDATE_OVERHEAD
    )
    learn += config["num_steps"] * -(-completions(config) // config["num_steps"] // batch) * new * TOKEN_OVERHEAD
    look = evaluated(config) * tokens * parameters * 2 * (3 + members) / (EFFICIENCY * flops)
    look += -(-evaluated(config) // batch) * new * TOKEN_OVERHEAD
    return Duration(
        {"policy": learn, "measure on held-out prompts": look},
        f"a rule of thumb for {device()}s like this machine's, within a factor of three; no such run was timed here",
    )


def device() -> str:
    """What would train on this machine."""
    import torch

    return "GPU" if torch.cuda.is_available() else "CPU"


@cache
def machine_flops() -> float:
    """fp32 operations per second of a 512 x 512 matrix product on the device that would train; takes 0.1 s."""
    import time

    import torch

    where = "cuda" if device() == "GPU" else "cpu"
    a = torch.ones(512, 512, device=where)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.1:
        a = (a @ a).clamp_(max=1.0)
        count += 1
    if where == "cuda":
        torch.cuda.synchronize()
    return count * 2 * 512**3 / (time.perf_counter() - start)


def _target(config: Mapping[str, Any], group: str) -> object:
    return (config.get(group) or {}).get("_target_")


def threads() -> int:
    """CPU threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
