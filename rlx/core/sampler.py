"""How completions are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Drawn:
    """B completions, on the CPU: right-padded ids (B, T), their mask (up to and including the end of sequence), and
    whether they ended."""

    ids_BT: Tensor
    mask_BT: Tensor
    ended_B: Tensor


class Sampler(Protocol):
    max_new_tokens: int
    temperature: float

    def draw(
        self, policy: PreTrainedModel, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]
    ) -> Drawn:
        """One completion a row (there may be none), on the policy's device; a row's draw depends on its own seed, never on
        the rows beside it."""
        ...
