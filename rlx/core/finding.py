"""A finding of `rlx doctor`: what was looked at, what was found, and what to do about it."""

from typing import NamedTuple


class Finding(NamedTuple):
    """`todo` is empty where all is well; `note` marks what is missing but only needed by some."""

    subject: str
    found: str
    todo: str = ""
    note: bool = False
