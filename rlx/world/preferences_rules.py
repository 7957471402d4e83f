"""Preferences from files: that there is a file, and that something is left for each use."""

from collections.abc import Mapping
from typing import Any

from rlx.core.rules import Config


def preferences_are_given(config: Config) -> str | None:
    if config["world"]["path"]:
        return None
    return "world=preferences needs world.path=<file, folder or dataset on the Hub>"


def shares(world: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Which share of the prompts each use takes. The held-out share comes first, so that the same prompts are held out
    whatever the other shares are."""
    return [
        ("heldout", 0.0 if world["heldout_path"] else world["heldout_share"]),
        ("gold", 0.0 if world["gold"] else world["gold_share"]),
        ("demonstration", 0.0 if world["demonstrations_path"] else world["demonstration_share"] or 0.0),
    ]


def something_is_left_for_the_proxies(config: Config) -> str | None:
    if (total := sum(size for _, size in shares(config["world"]))) < 1:
        return None
    return (
        "world.heldout_share + world.gold_share + world.demonstration_share must leave something for the proxies: "
        f"they sum to {total:g}, make them less than 1"
    )


def the_template_has_one_place(config: Config) -> str | None:
    template = config["world"]["prompt_template"]
    if template is None or template.count("{prompt}") == 1:
        return None
    return f"world.prompt_template={template!r} must have {{prompt}} exactly once"


def columns_differ(config: Config) -> str | None:
    world = config["world"]
    names = [world["prompt_column"] or "prompt", world["chosen_column"], world["rejected_column"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None:
        return None
    return (
        f"world.prompt_column={names[0]}, world.chosen_column={names[1]} and world.rejected_column={names[2]}: {twice} is there "
        "twice; name three columns"
    )


def a_part_of_the_pairs_is_enough(config: Config) -> str | None:
    least = config["world"]["min_pairs"]
    for key in ("max_pairs", "max_gold_pairs"):
        if (most := config["world"][key]) is not None and most < least:
            return f"world.{key}={most} is less than world.min_pairs={least}; raise the first"
    return None


RULES = (
    preferences_are_given,
    something_is_left_for_the_proxies,
    the_template_has_one_place,
    columns_differ,
    a_part_of_the_pairs_is_enough,
)
