"""Warnings about a config that can run, and will not do what its user most likely wants. Advice is None or one line."""

import math

from rlx.core.rules import Config, advice_of, has_steps


def advice(config: Config) -> list[str]:
    """Return one line for each setting of a checked config that deserves a warning."""
    return [line for give in (*ADVICE, *advice_of(config)) if (line := give(config)) is not None]


def beta_can_reach_the_target(config: Config) -> str | None:
    regularizer = config["regularizer"]
    if regularizer.get("target") is None or regularizer.get("horizon") is None or not has_steps(config):
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


ADVICE = (beta_can_reach_the_target,)
