"""Completions of a saved policy, drawn by the same sampler as the rollouts."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.world import Completion, Prompt
from rlx.model.tokens import decode_completion, encode_prompt
from rlx.process import processes
from rlx.process.progress import Bar
from rlx.sampler.transformers import Transformers


def draw(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    sampler: Transformers,
    bar: Bar | None = None,
) -> list[Completion]:
    """One completion per prompt; a draw follows from its own seed, whatever is drawn beside it, and by which process.

    An unended completion is one that the sampler's length limit cut off.
    """
    completions: list[Completion] = []
    mine = processes.share(len(prompts))
    for start in range(mine.start, mine.stop, sampler.batch_size):
        part = slice(start, min(start + sampler.batch_size, mine.stop))
        rows = [encode_prompt(tokenizer, prompt.text) for prompt in prompts[part]]
        width = max(map(len, rows))
        ids_BP = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows])
        mask_BP = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows])
        drawn = sampler.draw(policy, ids_BP, mask_BP, seeds[part])
        for ids, mask, ended in zip(drawn.ids_BT.tolist(), drawn.mask_BT.tolist(), drawn.ended_B.tolist(), strict=True):
            written = [i for i, kept in zip(ids, mask, strict=True) if kept]
            completions.append(Completion(decode_completion(tokenizer, written), ended))
        if bar:
            bar.advance(len(rows) * processes.size())
    return processes.concatenated(completions)
