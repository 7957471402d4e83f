"""Records that cannot be used: each with its place, a reason that can be counted, and one line that says all of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rlx.core.error import UserError

OnBadRecord = Literal["refuse", "leave_out"]


class RecordError(Exception):
    """One fault. `reason` is worded alike for all records with this fault, `detail` names fields and values."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class BadRecords:
    """Collects faults in the order of reading, so that the user sees how many there are and not just the first."""

    places: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, place: str, fault: RecordError) -> None:
        """Note the fault of the record at `place` ("pairs.jsonl:12")."""
        self.places.append(place)
        self.details.append(fault.detail)
        self.reasons[fault.reason] += 1

    def refuse(self, all_of_them: bool = False) -> None:
        """Raises: UserError, one line: the first fault, how many more there are, and how to go on without them."""
        if self.places:
            leave = ", or leave such records out and have them counted with world.on_bad_record=leave_out"
            raise UserError(
                f"{self.places[0]}: {self.details[0]}{others(self.places)}. Mend the data{'' if all_of_them else leave}"
            )


def others(places: Sequence[str]) -> str:
    """ " and 4 more bad records (pairs.jsonl:9, ...)" for five places; at most four of the others are named."""
    if len(places) < 2:
        return ""
    named = ", ".join(places[1:5]) + (", ..." if len(places) > 5 else "")
    return f" and {len(places) - 1} more bad record{'s' if len(places) > 2 else ''} ({named})"


def kind_of(value: object) -> str:
    """What JSON calls it: "a number" for 3."""
    words = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return "null" if value is None else words.get(type(value), f"a value of type {type(value).__name__}")
