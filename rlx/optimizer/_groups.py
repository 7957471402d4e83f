"""Advantages from a prompt's own completions, in place of a critic's."""

import torch
from torch import Tensor

from rlx.core.regularizer import Regularizer
from rlx.core.rollout import ScoredRollout


def leave_one_out(rewards_NG: Tensor) -> Tensor:
    """r_i - mean of the other completions' r (N, G): an unbiased baseline. Section 2.2 of arXiv 2402.14740."""
    num = rewards_NG.shape[1]
    return (rewards_NG - rewards_NG.mean(1, keepdim=True)) * num / (num - 1)


def group_normalised(rewards_NG: Tensor, eps: float = 1e-4) -> Tensor:
    """(r - mean) / (sd + eps) over a prompt's completions (N, G). Section 4.1.2 of arXiv 2402.03300; 0 where all are alike."""
    centred = rewards_NG - rewards_NG.mean(1, keepdim=True)
    return centred / (rewards_NG.std(1, keepdim=True) + eps)


def penalties(scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Tensor:
    """beta times the penalty of each completion (N, G), summed over its tokens."""
    flat = (x.flatten(0, 1) for x in (scored.logps_NGT, scored.ref_logps_NGT, scored.mask_NGT))
    logps_BT, ref_logps_BT, mask_BT = flat
    penalty_BT = beta * regularizer.penalty(logps_BT, ref_logps_BT, mask_BT)
    return (penalty_BT * mask_BT).sum(-1).view_as(scored.scores_NG)


def spread_over_tokens(x_NG: Tensor, like_NGT: Tensor) -> Tensor:
    """Every token has its completion's number."""
    return x_NG[..., None].expand(like_NGT.shape).to(torch.float32)


def penalised(scored: ScoredRollout, penalty_NG: Tensor) -> dict[str, float]:
    """What is logged of the reward and its penalty."""
    metrics = {
        "objective/non_score_reward": -penalty_NG.mean().item(),
        "objective/rlhf_reward": (scored.scores_NG - penalty_NG).mean().item(),
    }
    if scored.scores_NG.numel() > 1 and (rest := scored.scores_NG.var() + penalty_NG.var()) > 0:
        metrics["objective/penalty_share"] = (penalty_NG.var() / rest).item()
    return metrics
