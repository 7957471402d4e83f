"""Iterative DPO (Rafailov et al. 2023, arXiv 2305.18290): a logistic regression on pairs of the policy's own completions.

Every rollout makes new pairs, and the reference stays where it is (Xiong et al. 2023, arXiv 2312.11456). With
regularizer=chi2 it is chiPO (Huang et al. 2024, arXiv 2407.13399).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection
from rlx.optimizer._pairs import Oracle, Pairing, gap, pairs_of, selected


def dpo_loss(link_gap_B: Tensor, beta: float, clip: float | None = None) -> Tensor:
    """-log sigmoid(clip(beta [link(pi/ref)(y_w) - link(pi/ref)(y_l)])) per pair.

    With link = log it is equation 7 of 2305.18290, without a clip. With chi2's link z + log z and clip = 2 R_max it is
    Algorithm 1 of 2407.13399.
    """
    margin_B = beta * link_gap_B
    return -logsigmoid(margin_B if clip is None else margin_B.clamp(-clip, clip))


@dataclass(frozen=True)
class DPO:
    """The regulariser enters the loss through its link, and beta is DPO's: the implicit reward beta link(pi / ref) is in the
    unit of the oracle's log-odds, not in SD of the proxy.

    The optimum for pairs of any full support, labelled by a Bradley-Terry oracle with rewards r, has beta link(pi / ref) = r +
    const. Winners are drawn with their probability by `iid` alone; `tournament` and `best_worst` take the more probable one,
    whose optimum lies further. Importance weights of another engine that drew are logged and not applied, for the reason
    that INPO gives.
    """

    title: ClassVar[str] = "iterative DPO"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
            "Rafailov, Rafael and others",
            2023,
            "2305.18290",
        ),
    )

    num_samples: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    pairing: Pairing
    oracle: Oracle
    clip: Positive | None

    @property
    def needs(self) -> Needs:
        return Needs(preferences=self.oracle == "preference")

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """One pair (winner, loser) of each prompt's completions; a pair that the final check rejects counts nothing."""
        return selected(scored, pairs_of(scored, self.pairing, self.oracle), "dpo")

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over prompts. Rejected pairs add 0."""
        logps_NK = (output.logps_NKT * batch.mask_NKT).sum(-1)
        link_gap_N = gap(regularizer.link(logps_NK - batch.credit["ref_logps"]))
        kept_N = batch.credit["kept"]
        loss = (dpo_loss(link_gap_N, beta, self.clip) * kept_N).sum() / batch.num_prompts
        with torch.no_grad():
            metrics = {
                "loss/policy_avg": loss,
                "dpo/margin": (beta * link_gap_N * kept_N).sum() / batch.num_prompts,
                "dpo/order": ((link_gap_N > 0) * kept_N).sum() / batch.num_prompts,
            }
        return loss, metrics
