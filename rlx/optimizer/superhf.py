"""SuperHF (arXiv 2310.16763): best-of-n of fresh samples, learnt by supervised loss, held near the reference by a divergence
over the full vocabulary."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs, TokenMeasure
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection


def superhf_loss(logps_BT: Tensor, divergence_BT: Tensor, mask_BT: Tensor, beta: float, num_tokens: int) -> Tensor:
    """Cross-entropy of the kept completions plus beta times the divergence of next-token distributions, both as means
    over completion tokens: L = CE(y | x) + beta D. The paper's code adds D per example to a mean of CE, so that its
    beta grows with the minibatch; here it does not."""
    return ((beta * divergence_BT - logps_BT) * mask_BT).sum() / num_tokens


def best(scores_NG: Tensor, num_kept: int) -> Tensor:
    """Indices (N, K) of the highest scores, highest first; of equals, the one drawn first."""
    return scores_NG.argsort(dim=-1, descending=True, stable=True)[:, :num_kept]


@dataclass(frozen=True)
class SuperHF:
    """The regulariser enters the loss: beta times its divergence between whole next-token distributions. `forward` is the
    paper's D(reference || policy), `reverse` is D(policy || reference).

    Importance weights of another engine that drew are logged and not applied: what is imitated are the best of its
    completions, whoever they are likely under.
    """

    title: ClassVar[str] = "SuperHF"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "SuperHF: Supervised Iterative Learning from Human Feedback",
            "Mukobi, Gabriel and others",
            2023,
            "2310.16763",
        ),
    )

    num_samples: PositiveInt  # the paper's superbatch size
    num_kept: PositiveInt
    num_epochs: PositiveInt
    num_minibatches: PositiveInt
    direction: Literal["forward", "reverse"]

    @property
    def needs(self) -> Needs:
        return Needs(token_measure=self.comparison)

    def comparison(self, regularizer: Regularizer) -> TokenMeasure:
        """The divergence of next-token distributions, in `direction`."""

        def divergence(policy: Tensor, reference: Tensor) -> Tensor:
            pair = (reference, policy) if self.direction == "forward" else (policy, reference)
            return regularizer.token_divergence(*pair)

        return divergence

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """The num_kept best of each prompt's completions by the proxy score."""
        kept_NK = best(scored.scores_NG, self.num_kept)

        def take(x_NGT: Tensor) -> Tensor:
            return x_NGT.gather(1, kept_NK[..., None].expand(-1, -1, x_NGT.shape[-1]))

        return Selection(
            scored.prompt_ids_NP,
            scored.prompt_mask_NP,
            take(scored.ids_NGT),
            take(scored.mask_NGT),
            credit={},
            metrics={"superhf/kept_scores": scored.scores_NG.gather(1, kept_NK).mean().item()},
        )

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        divergence = output.compared_NKT
        assert divergence is not None, "SuperHF compares whole distributions"
        loss = superhf_loss(output.logps_NKT, divergence, batch.mask_NKT, beta, batch.num_tokens)
        with torch.no_grad():
            means = {"loss/cross_entropy": -output.logps_NKT, "loss/divergence": divergence}
            metrics = {name: (x * batch.mask_NKT).sum() / batch.num_tokens for name, x in means.items()}
        return loss, metrics
