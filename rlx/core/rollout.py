"""What is drawn, scored, selected and learnt from: one type per stage, so that no field is ever half filled.

Dimension letters, used as suffixes everywhere:
N prompts, G completions drawn per prompt, K completions kept per prompt, P prompt tokens (left-padded), T completion
tokens (right-padded), M reward-model members, B any flat batch, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from rlx.core.world import Prompt


@dataclass(frozen=True)
class Logprobs:
    """What a model says of B completions at `temperature`; 0 where masked, and entropies 0 everywhere unless they were asked
    for. Values are its critic's."""

    logps_BT: Tensor
    entropies_BT: Tensor
    values_BT: Tensor | None
    temperature: float


@dataclass(frozen=True)
class Rollout:
    """Completions as they were drawn. The mask covers a completion up to and including its end-of-sequence token."""

    prompts: Sequence[Prompt]
    prompt_ids_NP: Tensor
    prompt_mask_NP: Tensor  # bool, left-padded
    ids_NGT: Tensor
    mask_NGT: Tensor  # bool, right-padded
    ended_NG: Tensor  # bool: the completion closed with an end-of-sequence token before the length limit
    # Under the engine that drew, where that is not the policy itself.
    drawn_logps_NGT: Tensor | None = field(default=None, kw_only=True)
    # Of the N * G completions, where the policy itself drew and said it on the way.
    own: Logprobs | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class ScoredRollout(Rollout):
    """A rollout with everything that a policy optimiser may select by. Log-probabilities are in nats, 0 where masked."""

    logps_NGT: Tensor  # under the policy, before it learns from them
    ref_logps_NGT: Tensor
    scores_NG: Tensor  # what is maximised: proxy_NG clipped, less the penalty of completions that were cut off
    proxy_NG: Tensor  # the proxy as measured: what the reward combines its members to
    raw_std: float  # one unit of the proxy in the reward models' own, Bradley-Terry unit
    member_scores_MNG: Tensor
    values_NGT: Tensor | None  # the critic's, where the optimiser has one
    preferences_NGG: Tensor | None  # P(completion i beats j) by the world's preference model, where the optimiser asks
    seed: int  # of a selection that is itself a draw
    # Weights of tokens that make a mean over them one under the policy, truncated; None where the policy itself drew.
    importance_NGT: Tensor | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Selection:
    """Which K of the G completions to learn from, and the credit of each: tensors aligned with (N, K, ...)."""

    prompt_ids_NP: Tensor
    prompt_mask_NP: Tensor
    ids_NKT: Tensor
    mask_NKT: Tensor
    credit: dict[str, Tensor]
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """What a loss may see: rows of a Selection. `num_tokens` and `num_prompts` count the whole minibatch over all
    processes, so that a loss divided by them is the same loss under any number of processes."""

    prompt_ids_NP: Tensor
    prompt_mask_NP: Tensor
    ids_NKT: Tensor
    mask_NKT: Tensor
    credit: dict[str, Tensor]
    num_tokens: int
    num_prompts: int


@dataclass(frozen=True)
class PolicyOutput:
    """What the policy says of a batch's completions, with gradients."""

    logps_NKT: Tensor
    entropy_NKT: Tensor | None
    values_NKT: Tensor | None
    compared_NKT: Tensor | None  # of its next-token distributions with the reference's, where the optimiser asks
