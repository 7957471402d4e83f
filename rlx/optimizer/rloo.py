"""RLOO (Ahmadian et al. 2024, arXiv 2402.14740): REINFORCE on whole completions, each against the mean of its prompt's others."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection
from rlx.optimizer._groups import leave_one_out, penalised, penalties, spread_over_tokens
from rlx.optimizer.ppo import clipped_policy_loss


def rloo_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    """sum_t max(-A r_t, -A clip(r_t)) per completion. Its gradient where the policy has not moved is
    -A sum_t grad log pi(y_t), as in section 2.2 of 2402.14740; the clip bounds further updates on the same completions."""
    return (clipped_policy_loss(logps, old_logps, advantages, clip) * mask).sum(-1)


@dataclass(frozen=True)
class RLOO:
    """The regulariser enters the reward: beta times its penalty, summed over a completion, is subtracted from the score before the
    baseline. With one epoch and one minibatch it is the paper's REINFORCE, and the clip does nothing.

    Where another engine drew, each token's loss is multiplied by its importance weight, as in PPO.
    """

    title: ClassVar[str] = "RLOO"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Back to Basics: Revisiting REINFORCE-Style Optimization for Learning from Human Feedback in LLMs",
            "Ahmadian, Arash and others",
            2024,
            "2402.14740",
        ),
    )

    num_samples: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    clip: Positive

    @property
    def needs(self) -> Needs:
        return Needs()

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """All G completions, each with its reward less the mean of the others'."""
        penalty_NG = penalties(scored, regularizer, beta)
        credit = {
            "old_logps": scored.logps_NGT,
            "advantages": spread_over_tokens(leave_one_out(scored.scores_NG - penalty_NG), scored.logps_NGT),
        }
        if scored.importance_NGT is not None:
            credit["importance"] = scored.importance_NGT
        metrics = penalised(scored, penalty_NG)
        return Selection(scored.prompt_ids_NP, scored.prompt_mask_NP, scored.ids_NGT, scored.mask_NGT, credit, metrics)

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over completions of the sum over tokens."""
        mask, old_logps = batch.mask_NKT, batch.credit["old_logps"]
        weights = mask * batch.credit["importance"] if "importance" in batch.credit else mask
        each_NK = rloo_loss(output.logps_NKT, old_logps, batch.credit["advantages"], weights, self.clip)
        loss = each_NK.sum() / (batch.num_prompts * mask.shape[1])
        with torch.no_grad():
            log_ratio = output.logps_NKT - old_logps
            means = {
                "val/ratio": log_ratio.exp(),
                "policy/approxkl_avg": log_ratio.square() / 2,
                "policy/clipfrac_avg": ((log_ratio.exp() - 1).abs() > self.clip).float(),
            }
            metrics = {name: (x * mask).sum() / batch.num_tokens for name, x in means.items()}
        return loss, {"loss/policy_avg": loss.detach(), **metrics}
