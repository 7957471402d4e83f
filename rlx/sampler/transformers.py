"""Completions of the policy itself, each row from random numbers of its own: by rlx's decode loop where it knows the policy's
trunk (rlx/trunk), by transformers' batched `generate` elsewhere. Both draw the same tokens.

A row's tokens follow from its seed alone (inverse transform sampling: one uniform number a token), so they do not
change with the batch they are drawn in, the number of processes, or what else used the global random state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.rollout import Logprobs
from rlx.core.sampler import Drawn
from rlx.model.actor_critic import has_own_critic
from rlx.model.bare import causal_lm, is_adapter_free
from rlx.model.output_head import logits_of
from rlx.trunk.decode import decode
from rlx.trunk.family import own

# Of a model's generation config: what does not change the distribution that `generate` draws from here.
HARMLESS = {"transformers_version", "do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens", "use_cache",
            "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "_from_model_config",
            "output_attentions", "output_hidden_states"}  # fmt: skip


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


class _Choice:
    """Draws a token for each row that is left, and keeps what the policy says of it: log-probabilities, entropies, values."""

    def __init__(self, model: Any, uniforms_BT: Tensor, temperature: float, pad_id: int, value_head: Any) -> None:
        self.model, self.uniforms_BT, self.temperature, self.value_head = model, uniforms_BT, temperature, value_head
        self.ids_BT = torch.full(uniforms_BT.shape, pad_id)
        self.said_SBT = torch.zeros(3, *uniforms_BT.shape)

    def __call__(self, states_BD: Tensor, rows_B: Tensor, step: int) -> Tensor:
        logits_BV = logits_of(self.model, states_BD) / self.temperature
        token_B = inverse_cdf(logits_BV, self.uniforms_BT[rows_B, step])
        logps_BV = logits_BV.log_softmax(-1)
        said = [logps_BV.gather(-1, token_B[:, None]).squeeze(-1), -(logps_BV.exp() * logps_BV).sum(-1)]
        if self.value_head is not None:
            said.append(self.value_head(states_BD).squeeze(-1).float())
        self.ids_BT[rows_B, step] = token_B
        self.said_SBT[: len(said), rows_B, step] = torch.stack(said)
        return token_B


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
        ids_BT, mask_BT = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool)
        ended_B, said_SBT = torch.zeros(len(seeds), dtype=torch.bool), torch.zeros(3, *shape)
        eos, pad = policy.config.eos_token_id, policy.config.pad_token_id
        end_ids = torch.tensor(eos if isinstance(eos, list) else [eos])
        lengths_B = prompt_mask_BP.sum(-1)
        with causal_lm(policy) as model:
            by_itself = _draws_plainly(model) and bool(prompt_mask_BP[:, -1:].all()) and own(model.base_model)
            values = by_itself and hasattr(model, "value_head")
            values = values and not (is_adapter_free(policy) or has_own_critic(policy))
            for rows in length_batches(lengths_B, self.batch_size):
                width = int(lengths_B[rows].max())
                prompts = prompt_ids_BP[rows, -width:], prompt_mask_BP[rows, -width:].bool()
                uniforms_BT = torch.stack([_uniforms(seeds[row], self.max_new_tokens) for row in rows.tolist()])
                if by_itself:
                    choice = _Choice(model, uniforms_BT, self.temperature, pad, model.value_head if values else None)
                    decode(model.base_model, *prompts, self.max_new_tokens, end_ids, choice)
                    found_BT, said_SBT[:, rows] = choice.ids_BT, choice.said_SBT
                else:
                    found_BT = self._generated(policy, *prompts, uniforms_BT, end_ids.tolist(), pad)
                is_end_BT = torch.isin(found_BT, end_ids)
                # Up to and including the first end of sequence.
                mask_BT[rows] = is_end_BT.cumsum(-1) - is_end_BT.long() == 0
                ids_BT[rows] = found_BT.where(mask_BT[rows], torch.tensor(pad))
                ended_B[rows] = is_end_BT.any(-1)
        policy.train(was_training)
        if not by_itself:
            return Drawn(ids_BT, mask_BT, ended_B)
        logps_BT, entropies_BT, values_BT = said_SBT * mask_BT
        said = Logprobs(logps_BT, entropies_BT, values_BT if values else None, self.temperature)
        return Drawn(ids_BT, mask_BT, ended_B, own=said)

    def _generated(
        self, policy: Any, ids_BP: Tensor, mask_BP: Tensor, uniforms_BT: Tensor, end_ids: list[int], pad_id: int
    ) -> Tensor:
        """Ids (B, max_new_tokens), on the CPU."""
        device = policy.device
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=end_ids,
            pad_token_id=pad_id,
        )
        drawn = policy.generate(
            input_ids=ids_BP.to(device),
            attention_mask=mask_BP.long().to(device),
            generation_config=config,
            logits_processor=LogitsProcessorList([_Draw(uniforms_BT.to(device), self.temperature)]),
            synced_gpus=False,  # the policy is whole here; another process may have more rows, or fewer
        )
        ids_BT = drawn[:, ids_BP.shape[1] :].cpu()
        return torch.nn.functional.pad(ids_BT, (0, self.max_new_tokens - ids_BT.shape[1]), value=pad_id)


def _draws_plainly(model: Module) -> bool:
    """Whether `generate` would draw from the softmax of the model's own logits."""
    return isinstance(model, PreTrainedModel) and set(model.generation_config.to_diff_dict()) <= HARMLESS


def _uniforms(seed: int, num_tokens: int) -> Tensor:
    """In (0, 1], so that a token of probability 0 is never drawn."""
    return 1 - torch.rand(num_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
