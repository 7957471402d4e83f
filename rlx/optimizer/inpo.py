"""INPO (arXiv 2407.00617): the Nash policy of a preference game by online mirror descent, as a regression on pairs.

One rollout is one iteration t: the policy that drew it is pi_t, and its minibatches and epochs fit pi_{t+1}.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection
from rlx.optimizer._pairs import Oracle, Pairing, gap, pairs_of, selected


def inpo_loss(h_B: Tensor, eta: float) -> Tensor:
    """(h_t(pi, y_w, y_l) - 1 / (2 eta))^2 per pair. Equation 10 of 2407.00617."""
    return (h_B - 1 / (2 * eta)).square()


def log_ratio_gap(link_gap_B: Tensor, previous_gap_B: Tensor, tau: float, eta: float) -> Tensor:
    """h_t = (tau/eta) [link(pi/ref)(y) - link(pi/ref)(y')] + (1 - tau/eta) [log(pi/pi_t)(y) - log(pi/pi_t)(y')].

    With link = log it is the paper's h_t: log pi(y)/pi(y') - (tau/eta) log ref(y)/ref(y') - (1 - tau/eta) log pi_t(y)/pi_t(y').
    With chi2's link z + log z it is the optimality condition of the same game regularised by that divergence.
    """
    return (tau / eta) * link_gap_B + (1 - tau / eta) * previous_gap_B


@dataclass(frozen=True)
class INPO:
    """The regulariser enters the loss through its link, with tau = its beta; log-probabilities are sums over tokens.

    `oracle`: reward = Bradley-Terry on raw rewards, P = sigmoid(raw_std (r - r')) with r in SD: for `single` and WARM
    what the model's own loss means by its scores, for a mean, WCO or UWO with the mean of the members' raw standard
    deviations as unit, for gold the judge's own unit. preference = the world's preference model, which need not be
    transitive. Pairs of `tournament` and `best_worst` are not independent draws, which the paper's equivalence assumes.
    With chi2 the divergence is that of its link, chi2 / 2 + KL, whether its `root` is set or not. Importance weights of
    another engine that drew are logged and not applied: the regression has the same solution whatever pairs it is fitted
    on, as long as all are drawn, and its log-ratios are the policy's own.
    """

    title: ClassVar[str] = "INPO"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Iterative Nash Policy Optimization: Aligning LLMs with General Preferences via No-Regret Learning",
            "Zhang, Yuheng and others",
            2024,
            "2407.00617",
        ),
    )

    num_samples: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    eta: Positive
    pairing: Pairing
    oracle: Oracle

    @property
    def needs(self) -> Needs:
        return Needs(preferences=self.oracle == "preference")

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """One pair (winner, loser) of each prompt's completions; a pair that the final check rejects counts nothing."""
        return selected(scored, pairs_of(scored, self.pairing, self.oracle), "inpo")

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over prompts of the squared residual, with tau = beta. Rejected pairs add 0."""
        logps_NK = (output.logps_NKT * batch.mask_NKT).sum(-1)
        to_ref_NK = regularizer.link(logps_NK - batch.credit["ref_logps"])
        to_previous_NK = logps_NK - batch.credit["old_logps"]
        h_N = log_ratio_gap(gap(to_ref_NK), gap(to_previous_NK), beta, self.eta)
        kept_N = batch.credit["kept"]
        loss = (inpo_loss(h_N, self.eta) * kept_N).sum() / batch.num_prompts
        with torch.no_grad():
            metrics = {
                "loss/policy_avg": loss,
                "inpo/h": (h_N * kept_N).sum() / batch.num_prompts,
                "inpo/order": ((gap(logps_NK) > 0) * kept_N).sum() / batch.num_prompts,
            }
        return loss, metrics
