"""One policy out of several: a causal LM with the change that training made to smaller ones added to its logits.

It generates, and says log-probabilities and entropies, as any policy does: what is drawn from and what is measured are
the same distribution.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from rlx.model.output_head import CHUNK, logits_of, token_entropies, token_logps

Coefficients = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused_logits(large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor, alphas_TN: Tensor) -> Tensor:
    """large + sum_t alpha_t (expert_t - base_t), (N, V): with alpha = 1 proxy tuning (arXiv 2401.08565), with an alpha per
    place dynamic logit fusion (arXiv 2406.15480)."""
    fused_NV = large_NV
    for expert_NV, base_NV, alpha_N in zip(experts_TNV, bases_TNV, alphas_TN, strict=True):
        fused_NV = fused_NV + alpha_N[:, None] * (expert_NV - base_NV)
    return fused_NV


class FusedPolicy(nn.Module):
    """`large` with T experts, each with the base that it was trained from (one base may serve several experts).

    `coefficients(large_NV, experts_TNV, bases_TNV)` gives alpha, (T, N), from logits at temperature 1: logits are fused
    before the temperature. All models have the same tokens. Where one pads its vocabulary further than another, the ids
    beyond the shortest, which no text has, get probability 0.
    """

    def __init__(
        self,
        large: PreTrainedModel,
        experts: Sequence[PreTrainedModel],
        bases: Sequence[PreTrainedModel],
        coefficients: Coefficients,
    ) -> None:
        super().__init__()
        self.large, self.coefficients = large, coefficients
        small = list({id(model): model for model in (*experts, *bases)}.values())
        self.small = nn.ModuleList(small)
        place = {id(model): i for i, model in enumerate(small)}
        self.pairs = [(place[id(e)], place[id(b)]) for e, b in zip(experts, bases, strict=True)]
        self.vocabulary = min(model.config.get_text_config().vocab_size for model in (large, *small))

    @property
    def config(self) -> Any:
        return self.large.config

    @property
    def device(self) -> torch.device:
        return self.large.device

    def fuse(self, large_NV: Tensor, small_SNV: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Fused logits (N, V) in fp32 and alpha (T, N), from the logits of the large policy and of each small model."""
        width = self.vocabulary
        cut = [logits_NV[:, :width].float() for logits_NV in small_SNV]
        large_NV = large_NV[:, :width].float()
        experts_TNV, bases_TNV = (torch.stack([cut[pair[side]] for pair in self.pairs]) for side in range(2))
        alphas_TN = self.coefficients(large_NV, experts_TNV, bases_TNV)
        return fused_logits(large_NV, experts_TNV, bases_TNV, alphas_TN), alphas_TN

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        completion_length: int,
        temperature: float = 1.0,
        entropy: bool = False,
        alphas: bool = False,
    ) -> dict[str, Tensor]:
        """{"logps", "entropies"?, "alphas"?} of the last `completion_length` ids: (B, T) each, alphas with the experts in
        front. As ActorCritic.forward says it of one model."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
        inputs |= {"position_ids": _positions(attention_mask)}
        before = slice(-completion_length - 1, -1)
        models = [self.large, *self.small]
        states_MND = [model.base_model(**inputs).last_hidden_state[:, before].flatten(0, 1) for model in models]  # pyright: ignore
        ids_BT = input_ids[:, -completion_length:]
        num = max(1, CHUNK // (self.vocabulary * len(models)))
        found: list[tuple[Tensor, ...]] = []
        for place, ids_N in enumerate(ids_BT.flatten().split(num)):
            part = slice(place * num, place * num + len(ids_N))
            large_NV, *small_SNV = (logits_of(m, states[part]) for m, states in zip(models, states_MND, strict=True))
            fused_NV, alphas_EN = self.fuse(large_NV, small_SNV)
            fused_NV = fused_NV / temperature
            said = [token_logps(fused_NV, ids_N)]
            said += [token_entropies(fused_NV)] * entropy
            found.append((*said, *([alphas_EN] if alphas else [])))
        names = ["logps"] + ["entropies"] * entropy + ["alphas"] * alphas
        whole = {name: torch.cat(parts, -1) for name, parts in zip(names, zip(*found, strict=True), strict=True)}
        return {name: x.unflatten(-1, ids_BT.shape) for name, x in whole.items()}

    @torch.no_grad()
    def generate(self, logits_processor: LogitsProcessorList, attention_mask: Tensor, **kwargs: Any) -> Tensor:
        """As transformers' `generate` of the large policy, whose logits are fused before any other processor sees them."""
        fuse = _Fuse(self, attention_mask)
        return self.large.generate(  # pyright: ignore[reportCallIssue]
            attention_mask=attention_mask, logits_processor=LogitsProcessorList([fuse, *logits_processor]), **kwargs
        )


class _Fuse(LogitsProcessor):
    """Runs the small models beside the large one, each with a key-value cache of its own."""

    def __init__(self, policy: FusedPolicy, attention_mask: Tensor) -> None:
        self.policy, self.mask = policy, attention_mask
        self.caches: list[dict[str, Any]] = [{} for _ in policy.small]
        self.read = 0  # ids that the small models have seen

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        new = input_ids.shape[1] - self.mask.shape[1]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(input_ids), new)], -1)
        inputs = {
            "input_ids": input_ids[:, self.read :],
            "attention_mask": self.mask,
            "position_ids": _positions(self.mask)[:, self.read :],
            "use_cache": True,
        }
        small_SNV = []
        for i, model in enumerate(self.policy.small):
            last = {"logits_to_keep": 1} if model._supports_logits_to_keep() else {}  # pyright: ignore
            said = model(**inputs, **last, **self.caches[i])
            name = "cache" if "cache" in said else "past_key_values"  # before transformers 5.24
            self.caches[i] = {name: said[name]}
            small_SNV.append(said.logits[:, -1])
        self.read = input_ids.shape[1]
        fused_BV, _ = self.policy.fuse(scores, small_SNV)
        missing = scores.shape[-1] - fused_BV.shape[-1]
        return nn.functional.pad(fused_BV, (0, missing), value=-torch.inf) if missing else fused_BV


def _positions(mask_BT: Tensor) -> Tensor:
    """Positions count real tokens only, whatever the padding on the left."""
    return (mask_BT.cumsum(-1) - 1).clamp(min=0)
