"""GRPO (Shao et al. 2024, arXiv 2402.03300): PPO's clipped loss with advantages normalised over each prompt's completions."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection
from rlx.optimizer._groups import group_normalised, penalised, penalties, spread_over_tokens
from rlx.optimizer.ppo import clipped_policy_loss


def mean_over_tokens(loss_NKT: Tensor, mask_NKT: Tensor) -> Tensor:
    """(1 / |o_i|) sum_t of each completion (N, K). Equation 3 of 2402.03300: tokens of long completions count less."""
    return (loss_NKT * mask_NKT).sum(-1) / mask_NKT.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class GRPO:
    """`scale` group divides the centred scores by their SD over the group, as the paper does; none leaves them in SD of the proxy
    (Dr. GRPO, arXiv 2503.20783). `average` completion is the paper's mean over each completion's tokens; tokens is one mean
    over all tokens of the minibatch.

    The regulariser enters the advantage: beta times its penalty, centred over the group and not divided by the group's SD,
    is subtracted from it. The paper adds beta times the estimator k3 of the KL to the loss instead, whose gradient under the
    policy is that of KL(reference || policy). Where another engine drew, each token's loss is multiplied by its importance
    weight, as in PPO.
    """

    title: ClassVar[str] = "GRPO"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models",
            "Shao, Zhihong and others",
            2024,
            "2402.03300",
        ),
    )

    num_samples: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    clip: Positive
    scale: Literal["group", "none"]
    average: Literal["completion", "tokens"]

    @property
    def needs(self) -> Needs:
        return Needs()

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """All G completions, each with its score against its group."""
        penalty_NG, scores_NG = penalties(scored, regularizer, beta), scored.scores_NG
        advantages_NG = (
            group_normalised(scores_NG) if self.scale == "group" else scores_NG - scores_NG.mean(1, keepdim=True)
        )
        advantages_NG = advantages_NG - (penalty_NG - penalty_NG.mean(1, keepdim=True))
        credit = {
            "old_logps": scored.logps_NGT,
            "advantages": spread_over_tokens(advantages_NG, scored.logps_NGT),
        }
        if scored.importance_NGT is not None:
            credit["importance"] = scored.importance_NGT
        spread = scores_NG.std(1)
        metrics = penalised(scored, penalty_NG) | {
            "grpo/group_sd": spread.mean().item(),
            "grpo/groups_alike": (spread == 0).float().mean().item(),
        }
        return Selection(scored.prompt_ids_NP, scored.prompt_mask_NP, scored.ids_NGT, scored.mask_NGT, credit, metrics)

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The clipped policy loss of PPO, averaged over tokens and completions."""
        mask, old_logps = batch.mask_NKT, batch.credit["old_logps"]
        loss_NKT = clipped_policy_loss(output.logps_NKT, old_logps, batch.credit["advantages"], self.clip)
        if "importance" in batch.credit:
            loss_NKT = loss_NKT * batch.credit["importance"]
        if self.average == "completion":
            loss = mean_over_tokens(loss_NKT, mask).sum() / (batch.num_prompts * mask.shape[1])
        else:
            loss = (loss_NKT * mask).sum() / batch.num_tokens
        with torch.no_grad():
            log_ratio = output.logps_NKT - old_logps
            means = {
                "val/ratio": log_ratio.exp(),
                "policy/approxkl_avg": log_ratio.square() / 2,
                "policy/clipfrac_avg": ((log_ratio.exp() - 1).abs() > self.clip).float(),
            }
            metrics = {name: (x * mask).sum() / batch.num_tokens for name, x in means.items()}
        return loss, {"loss/policy_avg": loss.detach(), **metrics}
