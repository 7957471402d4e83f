"""The prompts of every step: shuffled anew each pass by the run's seed, encoded once, padded on the left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.seed import seed_of
from rlx.core.world import Prompt
from rlx.model.tokens import encode_prompt


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


def fitting(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], max_tokens: int
) -> Iterator[tuple[Prompt, list[int]]]:
    """Yield each of the `prompts` of at most `max_tokens` tokens with its token ids. Raises UserError at the end where
    there was none."""
    found = False
    for prompt in prompts:
        ids = encode_prompt(tokenizer, prompt.text)
        if len(ids) <= max_tokens:
            found = True
            yield prompt, ids
    if not found:
        raise UserError(
            f"none of {len(prompts)} prompts has at most world.max_prompt_tokens={max_tokens} tokens: raise it"
        )


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], max_tokens: int) -> EncodedPrompts:
    """`prompts` in token ids, those longer than `max_tokens` left out and counted. Raises UserError if none is left."""
    kept = list(fitting(tokenizer, prompts, max_tokens))
    pad = tokenizer.pad_token_id
    assert isinstance(pad, int)
    return EncodedPrompts([prompt for prompt, _ in kept], [ids for _, ids in kept], pad, len(prompts) - len(kept))


def indices_of_step(step: int, num_prompts: int, total: int, seed: int) -> list[int]:
    """Which prompts step `step` (from 0) draws for: consecutive places of an endless row of shuffled passes."""
    places = range(step * num_prompts, (step + 1) * num_prompts)
    passes = {p: _order(p, total, seed) for p in {place // total for place in places}}
    return [passes[place // total][place % total] for place in places]


def _order(number: int, total: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed_of("prompt order", seed, number))
    return torch.randperm(total, generator=generator).tolist()
