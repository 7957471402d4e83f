"""Everything that the held-out measurements read, drawn with fixed sampling seeds: B completions, one per prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlx.core.world import Completion, Prompt

if TYPE_CHECKING:  # reports read what was measured, and need no torch
    from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """Log-probabilities are in nats per token, 0 where masked. `gold` is in the judge's unit, `proxy` z-normalised."""

    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    start_completions: Sequence[Completion]  # of the policy that training started from, on the same prompts
    gold_B: np.ndarray
    start_gold_B: np.ndarray
    start_lengths_B: np.ndarray  # tokens of the start's completions, the end-of-sequence token included
    gold_factors: Sequence[dict[str, float]]
    proxy_B: np.ndarray
    member_scores_MB: np.ndarray
    mask_BT: Tensor  # bool, the end-of-sequence token included
    logps_BT: Tensor
    ref_logps_BT: Tensor
    start_logps_BT: Tensor
    entropy_BT: Tensor
