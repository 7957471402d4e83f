"""Warnings about a config that can run, and will not do what its user most likely wants. Advice is None or one line."""

import math
from collections.abc import Mapping
from typing import Any

from rlx.command.rules import kind

Config = Mapping[str, Any]


def advice(config: Config) -> list[str]:
    """Return one line for each setting of a checked config that deserves a warning."""
    return [line for give in ADVICE if (line := give(config)) is not None]


def beta_can_reach_the_target(config: Config) -> str | None:
    regularizer = config["regularizer"]
    if regularizer.get("target") is None or regularizer.get("horizon") is None or kind(config, "optimizer") == "bon":
        return None
    completions = config["num_steps"] * config["num_prompts"] * config["optimizer"].get("num_samples", 1)
    most = math.exp(0.2 * completions / regularizer["horizon"])
    if most >= 2:
        return None
    return (
        f"regularizer.target={regularizer['target']:g}: over {completions:,} completions, beta can change by a factor of "
        f"{most:.2f} at most with regularizer.horizon={regularizer['horizon']:g}; a horizon of "
        f"{0.2 * completions / math.log(2):.0f} or less lets it double or halve"
    )


def chi2_is_no_target(config: Config) -> str | None:
    if kind(config, "regularizer") != "chi2" or config["regularizer"].get("target") is None:
        return None
    return (
        "regularizer.target with chi2 steers beta by an estimate that one completion can decide; "
        "compare several fixed values of regularizer.beta instead"
    )


def pretrained_models_take_more_than_a_lab_run(config: Config) -> str | None:
    completions = config["num_steps"] * config["num_prompts"] * config["optimizer"].get("num_samples", 1)
    if kind(config, "model") == "lab" or kind(config, "optimizer") == "bon" or completions >= 20_000:
        return None
    return (
        f"num_steps={config['num_steps']} and num_prompts={config['num_prompts']} are {completions:,} completions, the size of "
        "a run in the lab; publications take 100,000 and more for a pretrained model: scale=research"
    )


ADVICE = (beta_can_reach_the_target, chi2_is_no_target, pretrained_models_take_more_than_a_lab_run)
