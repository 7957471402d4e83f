"""Dropping pairs drops some of them, and not all."""

from rlx.core.rules import Config


def some_pairs_are_dropped(config: Config) -> str | None:
    share = config["cleaner"]["drop_share"]
    if 0 < share < 1:
        return None
    return f"cleaner.drop_share={share:g}: choose the share of pairs to drop, more than 0 and less than 1"


RULES = (some_pairs_are_dropped,)
