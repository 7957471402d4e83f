"""A completion is compared with the others of its prompt."""

from rlx.core.rules import Config


def rloo_has_others(config: Config) -> str | None:
    drawn = config["optimizer"]["num_samples"]
    if drawn >= 2:
        return None
    return f"optimizer.num_samples={drawn}: rloo compares a completion with the others of its prompt; draw at least 2"


RULES = (rloo_has_others,)
