"""Snapshots lie within the training."""

from rlx.core.rules import Config


def snapshots_lie_within_the_training(config: Config) -> str | None:
    snapshots = config["sft"]["snapshots"]
    if all(0 < share < 1 for share in snapshots):
        return None
    return f"sft.snapshots={list(snapshots)}: every share must lie between 0 and 1; the end is kept anyway"


RULES = (snapshots_lie_within_the_training,)
