"""Completions by transformers' batched `generate`, each row from random numbers of its own.

A row's tokens follow from its seed alone (inverse transform sampling: one uniform number a token), so they do not
change with the batch they are drawn in, the number of processes, or what else used the global random state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.sampler import Drawn


def inverse_cdf(logits_BV: Tensor, uniforms_B: Tensor) -> Tensor:
    """The first token whose cumulative probability reaches u in (0, 1]: a draw from softmax(logits). Shape (B,)."""
    cdf_BV = logits_BV.double().softmax(-1).cumsum(-1)
    return torch.searchsorted(cdf_BV, (uniforms_B * cdf_BV[:, -1])[:, None]).squeeze(-1)


def length_batches(lengths_B: Tensor, size: int) -> Iterator[Tensor]:
    """The places of all rows, `size` at a time and the last the rest: short ones first, in their order within a batch, so
    that rows of one length are batched as they come."""
    for rows in lengths_B.argsort(stable=True).split(size) if len(lengths_B) else ():
        yield rows.sort().values


class _Draw(LogitsProcessor):
    """Make greedy `generate` sample: draw one token per row and mask all others."""

    def __init__(self, uniforms_BT: Tensor, temperature: float) -> None:
        self.uniforms_BT, self.temperature, self.step = uniforms_BT, temperature, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        token_B = inverse_cdf(scores.float() / self.temperature, self.uniforms_BT[:, self.step])
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(-1, token_B[:, None], 0.0)


@dataclass(frozen=True)
class Transformers:
    """No top-k and no top-p: with them, the log-probabilities that the losses use would not be those drawn from.

    Where one batch does not hold all rows, prompts of like length are drawn together, so that little is padded.
    """

    max_new_tokens: PositiveInt
    temperature: Positive
    batch_size: PositiveInt

    @property
    def importance_clip(self) -> None:
        """The policy itself draws."""
        return None

    def check(self) -> None:
        """transformers is always there."""

    @torch.no_grad()
    def draw(
        self, policy: PreTrainedModel, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]
    ) -> Drawn:
        """One completion a row, at most max_new_tokens long, ended by the policy's end-of-sequence token.

        Shapes: prompts (B, P) left-padded -> ids and mask (B, max_new_tokens).
        """
        was_training = policy.training
        policy.eval()
        shape = (len(seeds), self.max_new_tokens)
        drawn = Drawn(torch.zeros(shape, dtype=torch.long), torch.zeros(shape).bool(), torch.zeros(len(seeds)).bool())
        lengths_B = prompt_mask_BP.sum(-1)
        for rows in length_batches(lengths_B, self.batch_size):
            width = int(lengths_B[rows].max())
            ids_BP, mask_BP = prompt_ids_BP[rows, -width:], prompt_mask_BP[rows, -width:]
            part = self._draw(policy, ids_BP, mask_BP, [seeds[row] for row in rows.tolist()])
            for whole, own in zip((drawn.ids_BT, drawn.mask_BT, drawn.ended_B), part, strict=True):
                whole[rows] = own
        policy.train(was_training)
        return drawn

    def _draw(
        self, policy: PreTrainedModel, ids_BP: Tensor, mask_BP: Tensor, seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        ids_BP, mask_BP = ids_BP.to(policy.device), mask_BP.to(policy.device)
        eos, pad = policy.config.eos_token_id, policy.config.pad_token_id
        eos_ids = torch.tensor(eos if isinstance(eos, list) else [eos], device=ids_BP.device)
        uniforms_BT = torch.stack([_uniforms(seed, self.max_new_tokens) for seed in seeds]).to(ids_BP.device)
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=eos_ids.tolist(),
            pad_token_id=pad,
        )
        drawn = policy.generate(  # pyright: ignore[reportCallIssue]
            input_ids=ids_BP,
            attention_mask=mask_BP.long(),
            generation_config=config,
            logits_processor=LogitsProcessorList([_Draw(uniforms_BT, self.temperature)]),
            synced_gpus=False,  # the policy is whole here; another process may have more rows, or fewer
        )
        ids_BT = drawn[:, ids_BP.shape[1] :].cpu()
        ids_BT = torch.nn.functional.pad(ids_BT, (0, self.max_new_tokens - ids_BT.shape[1]), value=pad)
        is_eos_BT = torch.isin(ids_BT, eos_ids.cpu())
        before_end_BT = is_eos_BT.cumsum(-1) - is_eos_BT.long() == 0  # up to and including the first end of sequence
        return ids_BT.where(before_end_BT, torch.tensor(pad)), before_end_BT, is_eos_BT.any(-1)


def _uniforms(seed: int, num_tokens: int) -> Tensor:
    """In (0, 1], so that a token of probability 0 is never drawn."""
    return 1 - torch.rand(num_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
