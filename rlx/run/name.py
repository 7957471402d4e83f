"""A run directory is named by what is run, so that the same command finds the same directory again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Settings that do not change the experiment: directories, tracker, number of processes, what is kept.
# Of `checkpoint`, keep_best does, and is content where it is set.
NOT_CONTENT = ("cache_dir", "runs_dir", "tracker", "compute", "checkpoint", "name", "seed", "choices")
# Groups that runs of before do not have, with the choice that is the same as none: where that is chosen, the group is no
# content, and a run keeps its name.
LATER = {
    "cleaner": {"_target_": "rlx.cleaner.none.NoCleaner"},
    "attribution": {"_target_": "rlx.attribution.none.NoAttribution"},
}
# The same for a setting of a choice.
LATER_SETTINGS = {
    ("world", "task"): "quality",
    ("model", "attn_implementation"): None,
    ("compute", "timeout"): 1800.0,
    ("compute", "place_members"): False,
    ("compute", "compile"): False,
    ("sampler", "seed_rows"): True,
}
IN_THE_NAME = ("reward", "reference", "optimizer", "regularizer", "world")


def content(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides a run's numbers, its seed apart."""
    own = {
        key: value
        for key, value in config.items()
        if key not in NOT_CONTENT and (key not in LATER or value != LATER[key])
    }
    for (group, key), value in LATER_SETTINGS.items():
        if isinstance(node := own.get(group), Mapping) and key in node and node[key] == value:
            own[group] = {name: x for name, x in node.items() if name != key}
    kept = (config.get("checkpoint") or {}).get("keep_best")
    return own if kept is None else own | {"checkpoint": {"keep_best": kept}}


def hash8(content: object) -> str:
    """The first 8 hexadecimal digits of the sha256 of something JSON-able, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def run_name(config: Mapping[str, Any]) -> str:
    """`<reward>-<reference>-<optimizer>-<regularizer>-<world>-<hash8>-seed<seed>`, or `<name>-seed<seed>`.

    `config` is resolved and checked (a number written 1 and one written 1.0 have become the same), and its `choices`
    hold the names that the user chose from each group.
    """
    if config.get("name"):
        return f"{config['name']}-seed{config['seed']}"
    choices = [str(config["choices"][group]).replace("/", "_") for group in IN_THE_NAME]
    return "-".join([*choices, hash8(content(config)), f"seed{config['seed']}"])


def is_external(config: Mapping[str, Any]) -> bool:
    """Whether the config is of the measurement of a policy that was trained elsewhere, and so of no run."""
    return "policy" in config and "start" in config


def external_name(config: Mapping[str, Any]) -> str:
    """`<policy>-against-<start>-<world>-<hash8>` of a policy that was trained elsewhere, or `<name>`."""
    if config.get("name"):
        return str(config["name"])
    # A run exports its policy as RUN/model.
    policy, start = (Path(config[key].removesuffix("/").removesuffix("/model")).name for key in ("policy", "start"))
    return f"{policy}-against-{start}-{config['choices']['world']}-{hash8(content(config))}"


def decoded_name(config: Mapping[str, Any]) -> str:
    """`<run>-<decoder>-<hash8>` of a run's policy as a decoder draws from it."""
    return f"{Path(config['run']).name}-{config['decoder']['choice']}-{hash8(content(config))}"


def sweep_name(configs: Iterable[Mapping[str, Any]]) -> str:
    """`sweep-<hash8>` of the set of cells, in whatever order they were typed."""
    cells = sorted(json.dumps([content(c), c["seed"], c.get("name")], sort_keys=True) for c in configs)
    return f"sweep-{hash8(cells)}"


def differences(old: object, new: object, prefix: str = "") -> list[str]:
    """Dotted keys whose values differ between two configs, each with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted({*old, *new})
        dotted = {key: f"{prefix}.{key}" if prefix else str(key) for key in keys}
        return [line for key in keys for line in differences(old.get(key), new.get(key), dotted[key])]
    return [] if old == new else [f"{prefix} ({_short(old)} there, {_short(new)} now)"]


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
