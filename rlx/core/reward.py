"""How reward models become the proxy: the axis `reward`, and what its choices are given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from transformers import PreTrainedTokenizerBase

from rlx.core.scorer import Scorer
from rlx.core.world import Completion, Judge, Prompt

ROWS = 64  # completions in one forward pass of a reward model, where compute.rows does not say


@dataclass(frozen=True)
class Sources:
    """What a reward may be made of. Only `members` is there already; the rest is loaded by the reward that asks for it."""

    members: Sequence[Path]  # directories of the reward models `Reward.members`, in that order
    judge: Callable[[], Judge]
    tokenizer: Callable[[], PreTrainedTokenizerBase]  # the policy's
    reference_set: Callable[[], tuple[Sequence[Prompt], Sequence[Completion]]]
    rows: int = ROWS
    placed: bool = False  # each of several processes is to hold its share of the members, and to score the rows of all


class Reward(Protocol):
    # Whether `member_scores` of its scorer are those of `members`, one row per member, so that the scores of one member are
    # kept for other rewards. False where a model of its own scores (WARM) and where the judge does (gold).
    scores_each_member: ClassVar[bool]

    @property
    def members(self) -> Sequence[int]:
        """Indices of the reward models that it is made of, which are trained or fetched; none for a control."""
        ...

    def scorer(self, sources: Sources) -> Scorer:
        """The proxy, on the scale of its own scores on the reference set. Raises UserError where `sources` do not fit."""
        ...


@runtime_checkable
class TriedReward(Protocol):
    """A reward that can fail in ways that only a call shows, and that is called before dear work."""

    def try_on(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Raises UserError where these texts get no scores."""
        ...
