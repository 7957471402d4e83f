"""Whether a config's run places the members of its ensemble (compute.place_members)."""

from collections.abc import Mapping
from typing import Any

from rlx.core.placement import Placement, placement
from rlx.core.rules import kind
from rlx.estimate.sharing import sharing_of


def placement_of(config: Mapping[str, Any]) -> Placement:
    """As the run chooses."""
    members = config["reward"].get("num_members", 1)
    if kind(config, "reward") == "warm":
        return Placement(False, members, "their weights are averaged")
    setting = config["compute"].get("place_members", False)
    return placement(setting, members, sharing_of(config).processes, bool(config["model"].get("lora_rank")))


def told(config: Mapping[str, Any]) -> str | None:
    """Return the choice in one line; None where there is nothing to choose."""
    members, found = config["reward"].get("num_members", 1), placement_of(config)
    if members < 2 or sharing_of(config).processes == 1:
        return None
    what = f"at most {found.own} of {members} reward models in a process" if found.placed else "all in every process"
    setting = str(config["compute"].get("place_members", False)).lower()
    return f"compute.place_members={setting}: {what}, as {found.why}"
