"""Reward models are trained on their pairs alone. Reports show their importance of factors; no penalty acts on it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class NoAttribution:
    """No penalty: `weight` is 0, and members are those of every other run."""

    weight: ClassVar[float] = 0.0
