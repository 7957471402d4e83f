"""A group has several completions."""

from rlx.core.rules import Config


def grpo_has_groups(config: Config) -> str | None:
    drawn = config["optimizer"]["num_samples"]
    if drawn >= 2:
        return None
    return f"optimizer.num_samples={drawn}: grpo normalises over the completions of a prompt; draw at least 2"


RULES = (grpo_has_groups,)
