"""Minibatches of a selection: whole prompts, shuffled anew each pass, cut to their longest row."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rlx.core.rollout import Batch, Selection
from rlx.core.seed import seed_of
from rlx.process import processes


def minibatches(
    selection: Selection, num_epochs: int, num_minibatches: int, num_micro: int, seed: int, step: int
) -> Iterator[Batch]:
    """This process's share of num_epochs * num_minibatches minibatches, each as `num_micro` batches. The losses of a
    minibatch's batches add up to its own over micro-batches and processes, and its rows are the same for any number of
    either."""
    total = len(selection.ids_NKT)
    assert total % num_minibatches == 0, f"{total} prompts do not divide into {num_minibatches} minibatches"
    for epoch in range(num_epochs):
        generator = torch.Generator().manual_seed(seed_of("minibatches", seed, step, epoch))
        for rows in torch.randperm(total, generator=generator).chunk(num_minibatches):
            num_tokens = int(selection.mask_NKT[rows].sum())
            parts = rows.tensor_split(num_micro * processes.size())
            for part in parts[processes.rank() * num_micro :][:num_micro]:
                yield _batch(selection, part, num_tokens, len(rows))


def _batch(selection: Selection, rows: Tensor, num_tokens: int, num_prompts: int) -> Batch:
    prompt_mask, mask = selection.prompt_mask_NP[rows], selection.mask_NKT[rows]
    width, length = int(prompt_mask.sum(-1).max()), int(mask.sum(-1).max())
    shape = selection.ids_NKT.shape
    return Batch(
        prompt_ids_NP=selection.prompt_ids_NP[rows, -width:],
        prompt_mask_NP=prompt_mask[:, -width:],
        ids_NKT=selection.ids_NKT[rows, :, :length],
        mask_NKT=mask[..., :length],
        credit={name: x[rows, ..., :length] if x.shape == shape else x[rows] for name, x in selection.credit.items()},
        num_tokens=num_tokens,
        num_prompts=num_prompts,
    )
