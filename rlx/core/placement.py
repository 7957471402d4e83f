"""Whether each of several processes holds its share of an ensemble's members alone, or all hold all, and why."""

from dataclasses import dataclass
from typing import Literal

Setting = bool | Literal["auto"]
SLOWER = 4  # times as long as without, at most, that `auto` lets a process score


@dataclass(frozen=True)
class Placement:
    """`own`: the most members that a process holds. `why`: the reason, as the end of a sentence."""

    placed: bool
    own: int
    why: str


def placement(setting: Setting, members: int, processes: int, adapters: bool) -> Placement:
    """Return it for `members` of an ensemble, which are `adapters` on a base or whole models.

    A placed member scores the rows of all processes, so that the busiest process takes ceil(members / processes) x
    processes / members times as long as without.
    """
    own = -(-members // processes)
    slower = own * processes / members if members else 1.0
    if setting is False:
        return Placement(False, members, "it is set")
    if processes == 1 or members < 2:
        return Placement(False, members, "there is one process" if processes == 1 else "there are not several members")
    if adapters:
        return Placement(False, members, "they are adapters, and each process has their base")
    if setting == "auto" and slower > SLOWER:
        return Placement(False, members, f"scoring would take {slower:.3g} times as long; true places them")
    longer = f", though scoring takes {slower:.3g} times as long" if slower > 1 else ""
    return Placement(True, own, f"they are whole models and there are {processes} processes{longer}")
