"""The proxy reward as the engine sees it: members that score token ids, and one number made of them."""

from typing import Protocol

from torch import Tensor


class Scorer(Protocol):
    """Scores completions by token ids, so that the end-of-sequence token that the members were trained on is seen."""

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """z-normalised scores (M, B), in standard deviations over the common reference set."""
        ...

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        """The proxy score (B,)."""
        ...
