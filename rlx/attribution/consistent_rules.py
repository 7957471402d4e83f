"""A reward model is trained, in one process, for a world with groups of factors; and the reference exists."""

from collections.abc import Mapping
from typing import Any

from rlx.core.rules import Config, has_members, kind
from rlx.core.signature import constant


def a_reward_model_is_trained(config: Config) -> str | None:
    reward = config["choices"].get("reward")
    if has_members(config) or not config["attribution"]["weight"]:
        return None
    return f"attribution=consistent: reward={reward} has no reward model that could be held to a reference; choose another reward"


def the_world_names_its_groups(config: Config) -> str | None:
    if _groups(config["world"]) is not None:
        return None
    return (
        f"attribution=consistent: world={config['choices'].get('world')} has no groups of factors that can be taken out of a "
        "text; give its class factor_groups and factor_pieces (rlx/core/world.py), or choose attribution=none"
    )


def the_prior_is_of_its_groups(config: Config) -> str | None:
    attribution, groups = config["attribution"], _groups(config["world"]) or ()
    prior, reference = attribution["prior"] or (), attribution["reference"]
    if reference != "given":
        return f"attribution.prior is for attribution.reference=given, not {reference}" if prior else None
    if len(prior) == len(groups) and sum(prior) > 0:
        return None
    return (
        f"attribution.reference=given needs attribution.prior, a list of {len(groups)} weights that are not all 0: "
        f"{', '.join(groups)}"
    )


def gold_is_a_program(config: Config) -> str | None:
    reference = config["attribution"]["reference"]
    if reference not in ("gold", "wrong") or kind(config, "world") != "preferences":
        return None
    return (
        f"attribution.reference={reference} reads gold's factors from a judge that is a program, as world=lab has one; with "
        "world=preferences choose members or given"
    )


def one_process_trains(config: Config) -> str | None:
    processes = config["compute"].get("num_processes") or 1
    if processes == 1:
        return None
    return (
        f"compute.num_processes={processes}: attribution=consistent trains reward models in one process; build them first "
        "(rlx prepare with compute.num_processes=1), or choose attribution=none"
    )


def _groups(world: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The groups of the world's class, read without importing it."""
    return constant(str(world["_target_"]), "factor_groups")


RULES = (
    a_reward_model_is_trained,
    the_world_names_its_groups,
    the_prior_is_of_its_groups,
    gold_is_a_program,
    one_process_trains,
)
