"""The shares of the demonstrations are shares of one whole."""

from rlx.core.rules import Config


def shares_are_of_one_whole(config: Config) -> str | None:
    bad, good = config["world"]["bad_share"], config["world"]["good_share"]
    if bad + good <= 1:
        return None
    return f"world.bad_share={bad:g} and world.good_share={good:g} sum to more than 1; lower one of them"


RULES = (shares_are_of_one_whole,)
