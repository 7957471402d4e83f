"""One rollout: draw completions, score them, and say what policy, reference and critic think of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.rollout import Rollout, ScoredRollout
from rlx.core.sampler import Sampler
from rlx.core.world import Completion, PreferenceModel, Prompt
from rlx.engine.forward import logprobs_of, values_of
from rlx.engine.importance import truncated_weights
from rlx.engine.proxy import Proxy
from rlx.model.actor_critic import has_own_critic
from rlx.model.tokens import decode_completion


@dataclass(frozen=True)
class RolloutModels:
    """The models that a rollout needs, each whole in every process. `rows`: completions in one forward pass, a matter of
    memory only."""

    reference: PreTrainedModel
    proxy: Proxy
    sampler: Sampler
    rows: int
    tokenizer: PreTrainedTokenizerBase
    preference_model: PreferenceModel | None


def concatenated(parts: Sequence[ScoredRollout]) -> ScoredRollout:
    """One rollout of the shares of all processes."""
    whole: dict[str, Any] = dict(vars(parts[0]))
    for name, value in whole.items():
        if isinstance(value, Tensor):
            whole[name] = torch.cat([getattr(part, name) for part in parts], 1 if name.endswith("_MNG") else 0)
    whole["prompts"] = [prompt for part in parts for prompt in part.prompts]
    return ScoredRollout(**whole)


def draw(
    policy: PreTrainedModel,
    sampler: Sampler,
    prompts: Sequence[Prompt],
    ids_NP: Tensor,
    mask_NP: Tensor,
    seeds: Sequence[int],
) -> Rollout:
    """G completions for each of N prompts, one per seed, prompt by prompt: len(seeds) = N * G."""
    num = len(seeds) // len(prompts) if prompts else 1
    drawn = sampler.draw(policy, ids_NP.repeat_interleave(num, 0), mask_NP.repeat_interleave(num, 0), seeds)
    ids, mask, ended = (x.unflatten(0, (len(prompts), num)) for x in (drawn.ids_BT, drawn.mask_BT, drawn.ended_B))
    logps = None if drawn.logps_BT is None else drawn.logps_BT.unflatten(0, (len(prompts), num))
    return Rollout(prompts, ids_NP, mask_NP, ids, mask, ended, drawn_logps_NGT=logps, own=drawn.own)


@torch.no_grad()
def score(
    rollout: Rollout, policy: PreTrainedModel, actors: RolloutModels, seed: int, with_preferences: bool
) -> tuple[ScoredRollout, Tensor]:
    """The rollout with log-probabilities, scores and values, and the policy's token entropies (N, G, T).

    Raises UserError where a score is not a number: the reward model is broken, and learning from it would hide that.
    """
    shape = rollout.ids_NGT.shape
    num = shape[1]
    rows = (
        rollout.prompt_ids_NP.repeat_interleave(num, 0),
        rollout.prompt_mask_NP.repeat_interleave(num, 0),
        rollout.ids_NGT.flatten(0, 1),
        rollout.mask_NGT.flatten(0, 1),
    )
    temperature = actors.sampler.temperature
    mine = rollout.own
    if mine is None or mine.temperature != temperature:
        mine = logprobs_of(policy, *rows, temperature, actors.rows, entropy=True)
    elif has_own_critic(policy):
        mine = replace(mine, values_BT=values_of(policy, *rows, actors.rows))
    ref_logps = logprobs_of(actors.reference, *rows, temperature, actors.rows).logps_BT
    members_MB = actors.proxy.scorer.member_scores(*rows)  # all at once: it puts rows of like length together
    if not members_MB.isfinite().all():
        member, row = (int(x) for x in (~members_MB.isfinite()).nonzero()[0])
        raise UserError(
            f"reward: member {member} gave {members_MB[member, row].item()} for prompt {rollout.prompts[row // num].id!r}; "
            "its weights are damaged or overflow in this dtype"
        )
    proxy_NG = actors.proxy.measured(members_MB).float().view(shape[:2])
    logps_NGT, importance_NGT = mine.logps_BT.view(shape), None
    if rollout.drawn_logps_NGT is not None and actors.sampler.importance_clip is not None:
        importance_NGT = truncated_weights(logps_NGT, rollout.drawn_logps_NGT, actors.sampler.importance_clip)
    scored = ScoredRollout(
        **vars(replace(rollout, own=None)),
        logps_NGT=logps_NGT,
        ref_logps_NGT=ref_logps.view(shape),
        scores_NG=actors.proxy.optimised(proxy_NG, rollout.ended_NG),
        proxy_NG=proxy_NG,
        raw_std=actors.proxy.scorer.raw_std,
        member_scores_MNG=members_MB.float().view(-1, *shape[:2]),
        values_NGT=None if mine.values_BT is None else mine.values_BT.view(shape),
        preferences_NGG=preferences(rollout, actors) if with_preferences else None,
        seed=seed,
        importance_NGT=importance_NGT,
    )
    return scored, mine.entropies_BT.view(shape)


def completions_of(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> list[list[Completion]]:
    """The texts, G for each of N prompts."""
    return [
        [
            Completion(decode_completion(tokenizer, ids[mask].tolist()), bool(ended))
            for ids, mask, ended in zip(ids_GT, mask_GT, ended_G, strict=True)
        ]
        for ids_GT, mask_GT, ended_G in zip(rollout.ids_NGT, rollout.mask_NGT, rollout.ended_NG, strict=True)
    ]


def preferences(rollout: Rollout, actors: RolloutModels) -> Tensor:
    """P(completion i beats j) of each prompt's completions, (N, G, G)."""
    model = actors.preference_model
    assert model is not None, "the world has no preference model"
    texts = completions_of(rollout, actors.tokenizer)
    return torch.tensor([model.probabilities(prompt, own) for prompt, own in zip(rollout.prompts, texts, strict=True)])
