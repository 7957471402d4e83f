"""INPO (arXiv 2407.00617): the Nash policy of a preference game by online mirror descent, as a regression on pairs.

One rollout is one iteration t: the policy that drew it is pi_t, and its minibatches and epochs fit pi_{t+1}.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rlx.core.numbers import Positive, PositiveInt
from rlx.core.paper import Paper
from rlx.core.policy_optimizer import Needs
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection


def inpo_loss(h_B: Tensor, eta: float) -> Tensor:
    """(h_t(pi, y_w, y_l) - 1 / (2 eta))^2 per pair. Equation 10 of 2407.00617."""
    return (h_B - 1 / (2 * eta)).square()


def log_ratio_gap(link_gap_B: Tensor, previous_gap_B: Tensor, tau: float, eta: float) -> Tensor:
    """h_t = (tau/eta) [link(pi/ref)(y) - link(pi/ref)(y')] + (1 - tau/eta) [log(pi/pi_t)(y) - log(pi/pi_t)(y')].

    With link = log it is the paper's h_t: log pi(y)/pi(y') - (tau/eta) log ref(y)/ref(y') - (1 - tau/eta) log pi_t(y)/pi_t(y').
    With chi2's link z + log z it is the optimality condition of the same game regularised by that divergence.
    """
    return (tau / eta) * link_gap_B + (1 - tau / eta) * previous_gap_B


def bradley_terry(rewards_NG: Tensor) -> Tensor:
    """P(y_i > y_j) = sigmoid(r_i - r_j), (N, G, G); r in the unit of a reward model's own loss, not in SD."""
    return (rewards_NG[:, :, None] - rewards_NG[:, None, :]).sigmoid()


def best_worst(preferences_NGG: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Winner and loser (N,): highest and lowest mean preference over the others; all pairs are kept."""
    means_NG = preferences_NGG.mean(-1)
    winner = means_NG.argsort(dim=-1, descending=True, stable=True)[:, 0]
    loser = means_NG.argsort(dim=-1, descending=False, stable=True)
    loser = torch.where(loser[:, 0] == winner, loser[:, -1], loser[:, 0])
    return winner, loser, torch.ones_like(winner, dtype=torch.bool)


def iid(preferences_NGG: Tensor, uniforms_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first two draws, the winner drawn with their preference probability: the pairs that Proposition 6 is about."""
    first_wins = uniforms_N < preferences_NGG[:, 0, 1]
    winner = torch.where(first_wins, 0, 1)
    return winner, 1 - winner, torch.ones_like(first_wins)


def tournament(preferences_NGG: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Knock-out of neighbours; winners play on for the best, losers for the worst, and the pair is kept if the best then
    beats the worst. 3 G / 2 - 1 comparisons (11 at G = 8); a tie goes to the first. G must be a power of two, 2 or more."""
    rows = torch.arange(len(preferences_NGG))

    def play(entrants_NE: Tensor) -> tuple[Tensor, Tensor]:
        """Who goes on and who does not."""
        a, b = entrants_NE[:, 0::2], entrants_NE[:, 1::2]
        first_wins = preferences_NGG[rows[:, None], a, b] >= 0.5
        return torch.where(first_wins, a, b), torch.where(first_wins, b, a)

    winners, losers = play(torch.arange(preferences_NGG.shape[1]).expand(len(rows), -1))
    while winners.shape[1] > 1:
        winners, losers = play(winners)[0], play(losers)[1]
    winner, loser = winners[:, 0], losers[:, 0]
    return winner, loser, preferences_NGG[rows, winner, loser] > 0.5


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
    pairing: Literal["tournament", "best_worst", "iid"]
    oracle: Literal["reward", "preference"]

    @property
    def needs(self) -> Needs:
        return Needs(preferences=self.oracle == "preference")

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """One pair (winner, loser) of each prompt's completions; a pair that the final check rejects counts nothing."""
        preferences = (
            bradley_terry(scored.raw_std * scored.scores_NG) if self.oracle == "reward" else scored.preferences_NGG
        )
        assert preferences is not None, "oracle=preference needs a world with a preference model"
        if self.pairing == "tournament":
            winner, loser, kept = tournament(preferences)
        elif self.pairing == "best_worst":
            winner, loser, kept = best_worst(preferences)
        else:
            winner, loser, kept = iid(
                preferences, torch.rand(len(preferences), generator=torch.Generator().manual_seed(scored.seed))
            )
        pair_NK = torch.stack([winner, loser], dim=1)

        def take(x_NGT: Tensor) -> Tensor:
            return x_NGT.gather(1, pair_NK[..., None].expand(-1, -1, x_NGT.shape[-1]))

        credit = {
            "old_logps": take(scored.logps_NGT).sum(-1),
            "ref_logps": take(scored.ref_logps_NGT).sum(-1),
            "kept": kept.float(),
        }
        rows = torch.arange(len(winner))
        metrics = {
            "inpo/kept_pairs": kept.float().mean().item(),
            "inpo/preference": preferences[rows, winner, loser].mean().item(),
            "inpo/score_gap": (scored.scores_NG[rows, winner] - scored.scores_NG[rows, loser]).mean().item(),
        }
        return Selection(
            scored.prompt_ids_NP, scored.prompt_mask_NP, take(scored.ids_NGT), take(scored.mask_NGT), credit, metrics
        )

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


def gap(x_NK: Tensor) -> Tensor:
    """Winner minus loser, (N,)."""
    return x_NK[:, 0] - x_NK[:, 1]
