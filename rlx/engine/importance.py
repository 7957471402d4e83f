"""Completions that another engine drew are not quite the policy's: each token is weighted by how much more likely the policy
finds it, up to a limit. Truncated importance sampling (Ionides 2008; for rollouts: Yao et al. 2025, "Your Efficient RL
Framework Secretly Brings You Off-Policy RL Training").

The engine has the same weights, but other kernels, another precision and another order of summation; its samples are
off-policy by that much even before the first update.
"""

from torch import Tensor

from rlx.core.rollout import ScoredRollout


def truncated_weights(logps: Tensor, drawn_logps: Tensor, clip: float) -> Tensor:
    """min(pi / mu, C) per token, with pi the policy before it learns from the rollout, mu the engine that drew, C = clip.

    E_mu[w f] = E_pi[f] - sum_y max(pi(y) - C mu(y), 0) f(y): without bias where no token is C times as likely under pi.
    """
    return (logps - drawn_logps).exp().clamp(max=clip)


def measured(scored: ScoredRollout, clip: float | None) -> dict[str, float]:
    """The weights' mean (1 where all is well), least and most, the share of tokens that `clip` cut, and how far the two
    log-probabilities lie apart, in nats: mean and largest. Nothing where the policy itself drew."""
    if scored.importance_NGT is None or scored.drawn_logps_NGT is None or clip is None:
        return {}
    weights = scored.importance_NGT[scored.mask_NGT]
    difference = (scored.logps_NGT - scored.drawn_logps_NGT)[scored.mask_NGT]
    return {
        "sampler/importance_mean": weights.mean().item(),
        "sampler/importance_min": weights.min().item(),
        "sampler/importance_max": weights.max().item(),
        "sampler/importance_clipped": (difference.exp() > clip).float().mean().item(),
        "sampler/logp_difference": difference.abs().mean().item(),
        "sampler/logp_difference_max": difference.abs().max().item(),
    }
