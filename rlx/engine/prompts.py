"""The prompts of every step: shuffled anew each pass by the run's seed, encoded once, padded on the left."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlx.core.seed import seed_of
from rlx.core.world import Prompt


@dataclass(frozen=True)
class EncodedPrompts:
    """Prompts with their token ids. `left_out` counts those longer than the limit, which are not used."""

    prompts: Sequence[Prompt]
    ids: Sequence[Sequence[int]]
    pad_id: int
    left_out: int

    def batch(self, indices: Sequence[int]) -> tuple[list[Prompt], Tensor, Tensor]:
        """Prompts, ids (N, P) padded on the left, and their mask."""
        rows = [self.ids[i] for i in indices]
        width = max(map(len, rows))
        ids_NP = torch.tensor([[self.pad_id] * (width - len(row)) + list(row) for row in rows])
        mask_NP = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows])
        return [self.prompts[i] for i in indices], ids_NP, mask_NP


def indices_of_step(step: int, num_prompts: int, total: int, seed: int) -> list[int]:
    """Which prompts step `step` (from 0) draws for: consecutive places of an endless row of shuffled passes."""
    places = range(step * num_prompts, (step + 1) * num_prompts)
    passes = {p: _order(p, total, seed) for p in {place // total for place in places}}
    return [passes[place // total][place % total] for place in places]


def _order(number: int, total: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed_of("prompt order", seed, number))
    return torch.randperm(total, generator=generator).tolist()
