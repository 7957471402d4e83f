"""Members take their hyper-parameters from lists, and a prompt's completions make pairs."""

from rlx.core.rules import Config


def lists_have_a_value(config: Config) -> str | None:
    for name in ("learning_rate_factors", "dropouts"):
        if not config["reward_model"][name]:
            return f"reward_model.{name} is empty; give at least one value"
    return None


def completions_make_pairs(config: Config) -> str | None:
    number = config["reward_model"]["completions_per_prompt"]
    if number % 2 == 0:
        return None
    return f"reward_model.completions_per_prompt={number}: must be even, 2 or more"


def every_trunk_has_a_snapshot(config: Config) -> str | None:
    number, there = config["reward_model"]["num_trunks"], len(config["sft"]["snapshots"])
    if config["reward_model"]["trunks"] != "snapshots" or number <= there + 1:
        return None
    return f"reward_model.num_trunks={number} with trunks=snapshots needs {number - 1} entries in sft.snapshots; it has {there}"


RULES = (
    every_trunk_has_a_snapshot,
    lists_have_a_value,
    completions_make_pairs,
)
