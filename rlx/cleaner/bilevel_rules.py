"""The penalty grows while weights are learnt, and momentum forgets."""

from rlx.core.rules import Config


def sigma_falls(config: Config) -> str | None:
    first, last = config["cleaner"]["first_sigma"], config["cleaner"]["last_sigma"]
    if last <= first:
        return None
    return f"cleaner.last_sigma={last:g} is more than cleaner.first_sigma={first:g}: sigma falls; lower the last one"


def momentum_forgets(config: Config) -> str | None:
    if config["cleaner"]["momentum"] < 1:
        return None
    return "cleaner.momentum=1: the first direction would be kept for ever; choose less"


RULES = (sigma_falls, momentum_forgets)
