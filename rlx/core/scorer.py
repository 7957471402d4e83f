"""The proxy reward as the engine sees it: members that score token ids, and one number made of them."""

from typing import Protocol

from torch import Tensor


class MemberScorer(Protocol):
    """Scores completions by token ids, so that the end-of-sequence token that the members were trained on is seen."""

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """z-normalised scores (M, B), in standard deviations over the common reference set."""
        ...


class Scorer(MemberScorer, Protocol):
    """Members that score, and the proxy that is made of their scores."""

    @property
    def raw_std(self) -> float:
        """One unit of the aggregate in the unit of the reward models' own scores, whose difference is a Bradley-Terry
        log-odds: `raw_std` times a difference of aggregates is the log-odds that the proxy gives a pair."""
        ...

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        """The proxy score (B,): mean 0 and standard deviation 1 over the common reference set."""
        ...
