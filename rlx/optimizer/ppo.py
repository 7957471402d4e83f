"""Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347) on completions, with a critic and token-level credit.

Details as in the reproductions that are known to work: papers 2203.02155 and 2403.17031, and OpenAI's lm-human-preferences.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rlx.core.numbers import Fraction, NonNegative, Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection


def clipped_policy_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """max(-A r, -A clip(r, 1 - clip, 1 + clip)) per token, r = exp(logps - old_logps). Equation 7 of 1707.06347, negated."""
    ratio = (logps - old_logps).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """max((V - R)^2, (clip(V, V_old +- clip) - R)^2) / 2 per token."""
    near = torch.minimum(torch.maximum(values, old_values - clip), old_values + clip)
    return torch.maximum((values - returns).square(), (near - returns).square()) / 2


def generalized_advantages(rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE (Schulman et al. 2015, arXiv 1506.02438, equation 16): A_t = sum_l (gamma lam)^l delta_{t+l} with
    delta_t = r_t + gamma V_{t+1} - V_t. A completion's end is the episode's end, so the value after it is 0."""
    advantages_BT = torch.zeros_like(rewards_BT)
    following_B = next_value_B = torch.zeros_like(rewards_BT[:, 0])
    for t in reversed(range(rewards_BT.shape[1])):
        live_B = mask_BT[:, t].to(rewards_BT.dtype)
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        following_B = (delta_B + gamma * lam * following_B) * live_B
        next_value_B = values_BT[:, t] * live_B
        advantages_BT[:, t] = following_B
    return advantages_BT


def whitened(values: Tensor, mask: Tensor, shift_mean: bool) -> Tensor:
    """(x - mean) / sd over the mask, unbiased variance; with shift_mean=False the mean stays. 0 where masked."""
    kept = values[mask]
    mean = kept.mean()
    scaled = (values - mean) * (kept.var(unbiased=kept.numel() > 1) + 1e-8).rsqrt()
    return (scaled if shift_mean else scaled + mean) * mask


def token_rewards(scores_B: Tensor, penalty_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """-penalty at every token, and the score at the last one (the end of sequence, or the cut at the length limit)."""
    last_B1 = mask_BT.long().sum(-1, keepdim=True) - 1
    return (-penalty_BT * mask_BT).scatter_add(-1, last_B1, scores_B[:, None].to(penalty_BT.dtype))


@dataclass(frozen=True)
class PPO:
    """The regulariser enters the reward: beta times its penalty is subtracted token by token before GAE.

    Where another engine drew (sampler=vllm), each token's policy loss is multiplied by its importance weight,
    min(pi_old / mu, clip); the critic's loss and the advantages' whitening are over tokens as they were drawn.
    """

    title: ClassVar[str] = "PPO"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper("Proximal Policy Optimization Algorithms", "Schulman, John and others", 2017, "1707.06347"),
    )

    num_samples: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    gamma: Fraction
    lam: Fraction
    clip: Positive
    value_clip: Positive
    value_coefficient: NonNegative
    entropy_coefficient: NonNegative
    critic: Literal["shared", "half", "separate"]
    whiten_rewards: bool

    @property
    def needs(self) -> Needs:
        return Needs(critic=self.critic, entropy=self.entropy_coefficient > 0)

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """All G completions, with GAE from the critic's values; advantages are whitened over the whole rollout."""
        assert scored.values_NGT is not None, "PPO needs a critic"
        shape = scored.ids_NGT.shape
        mask_BT, logps_BT, values_BT = (x.flatten(0, 1) for x in (scored.mask_NGT, scored.logps_NGT, scored.values_NGT))
        penalty_BT = beta * regularizer.penalty(logps_BT, scored.ref_logps_NGT.flatten(0, 1), mask_BT)
        scores_B = scored.scores_NG.flatten()
        rewards_BT = token_rewards(scores_B, penalty_BT, mask_BT)
        non_score_B = -(penalty_BT * mask_BT).sum(-1)
        metrics = {
            "objective/non_score_reward": non_score_B.mean().item(),
            "objective/rlhf_reward": (scores_B + non_score_B).mean().item(),
        }
        if len(scores_B) > 1 and (rest := scores_B.var() + non_score_B.var()) > 0:
            metrics["objective/penalty_share"] = (non_score_B.var() / rest).item()
        if self.whiten_rewards:
            rewards_BT = whitened(rewards_BT, mask_BT, shift_mean=False)
        advantages_BT = generalized_advantages(rewards_BT, values_BT, mask_BT, self.gamma, self.lam)
        credit = {
            "old_logps": logps_BT,
            "old_values": values_BT,
            "returns": advantages_BT + values_BT,
            "advantages": whitened(advantages_BT, mask_BT, shift_mean=True),
        }
        if scored.importance_NGT is not None:
            credit["importance"] = scored.importance_NGT
        credit = {name: x.view(shape) for name, x in credit.items()}
        return Selection(scored.prompt_ids_NP, scored.prompt_mask_NP, scored.ids_NGT, scored.mask_NGT, credit, metrics)

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Clipped policy loss + value_coefficient * clipped value loss - entropy_coefficient * entropy, per token."""
        assert output.values_NKT is not None, "PPO needs a critic"
        mask, old_logps = batch.mask_NKT, batch.credit["old_logps"]

        def mean(x: Tensor) -> Tensor:
            return (x * mask).sum() / batch.num_tokens

        policy_NKT = clipped_policy_loss(output.logps_NKT, old_logps, batch.credit["advantages"], self.clip)
        if "importance" in batch.credit:
            policy_NKT = policy_NKT * batch.credit["importance"]
        policy = mean(policy_NKT)
        value = mean(
            clipped_value_loss(output.values_NKT, batch.credit["old_values"], batch.credit["returns"], self.value_clip)
        )
        total = policy + self.value_coefficient * value
        if output.entropy_NKT is not None:
            total = total - self.entropy_coefficient * mean(output.entropy_NKT)
        with torch.no_grad():
            log_ratio = output.logps_NKT - old_logps
            metrics = {
                "loss/policy_avg": policy,
                "loss/value_avg": value,
                "val/ratio": mean(log_ratio.exp()),
                "policy/approxkl_avg": mean(log_ratio.square()) / 2,
                "policy/clipfrac_avg": mean(((log_ratio.exp() - 1).abs() > self.clip).float()),
            }
        return total, metrics
