"""The grid of alpha has points."""

from rlx.core.rules import Config


def the_grid_has_points(config: Config) -> str | None:
    low, high = config["decoder"]["low"], config["decoder"]["high"]
    return f"decoder.low={low:g} is above decoder.high={high:g}; the grid has no point" if low > high else None


RULES = (the_grid_has_points,)
