"""`rlx evaluate --policy P --start S key=value ...`: the config that measures a policy which was trained elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError

# Groups that say how a policy is measured; what the others compose to is about training and is not kept.
MEASURING = ("world", "model", "reward", "sampler", "compute", "tracker", "sft", "reward_model")
SETTINGS = ("evaluation", "proxy", "data_seed", "seed", "name", "cache_dir", "runs_dir")


def composed(start: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the checked config of the overrides `words`. Unless they say otherwise, the model is `start`, whose tokenizer
    both policies then share, and the proxy is gold itself, so that no reward model is trained for a measurement.

    Raises UserError for several runs, and for every value that `rlx train` would refuse.
    """
    given = [] if any(word.partition("=")[0] in ("model", "model.path") for word in words) else [f"model.path={start}"]
    if given:
        given.insert(0, "model=pretrained")
    for group, choice in (("reward", "gold"), ("reference", "frozen")):
        if not any(word.startswith(f"{group}=") for word in words):
            given.append(f"{group}={choice}")
    cells = compose([*given, *words])
    if len(cells) != 1:
        raise UserError("a policy is measured in one way at a time; give one value per key and no -m")
    return checked(cells[0].config)


def decodes(decoder: Mapping[str, Any]) -> bool:
    """Whether a checked decoder measures anything but a policy as it was trained: one with experts, or a run's start."""
    return bool(decoder.get("experts")) or decoder["policy"] == "start"


def kept(config: dict[str, Any], policy: str, start: str, decoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `config` that decided the measurement, with the two policies and, where it
    `decodes`, the decoder."""
    choices = {group: choice for group, choice in config["choices"].items() if group in MEASURING}
    own = {key: config[key] for key in (*MEASURING, *SETTINGS) if key in config}
    how = {"decoder": dict(decoder)} if decodes(decoder) else {}
    return {"policy": policy, "start": start, **how, **own, "choices": choices}
