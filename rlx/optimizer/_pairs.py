"""Which two of a prompt's completions make a pair, and what an oracle says of them: for optimisers that learn from pairs."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlx.core.rollout import ScoredRollout, Selection

Pairing = Literal["tournament", "best_worst", "iid"]
Oracle = Literal["reward", "preference"]


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
class Pairs:
    """Winner and loser of each prompt (N,), the probability that the one beats the other, and whether the pair counts."""

    winner_N: Tensor
    loser_N: Tensor
    preference_N: Tensor
    kept_N: Tensor


def pairs_of(scored: ScoredRollout, pairing: Pairing, oracle: Oracle) -> Pairs:
    """One pair of each prompt's completions. `oracle`: reward = Bradley-Terry on raw rewards, sigmoid(raw_std (r - r')) with r in
    SD; preference = the world's preference model."""
    preferences = bradley_terry(scored.raw_std * scored.scores_NG) if oracle == "reward" else scored.preferences_NGG
    assert preferences is not None, "oracle=preference needs a world with a preference model"
    if pairing == "tournament":
        winner, loser, kept = tournament(preferences)
    elif pairing == "best_worst":
        winner, loser, kept = best_worst(preferences)
    else:
        generator = torch.Generator().manual_seed(scored.seed)
        winner, loser, kept = iid(preferences, torch.rand(len(preferences), generator=generator))
    rows = torch.arange(len(winner))
    return Pairs(winner, loser, preferences[rows, winner, loser], kept)


def selected(scored: ScoredRollout, pairs: Pairs, name: str) -> Selection:
    """The pairs' completions (K = 2, the winner first) with the log-probabilities of policy and reference, summed over tokens,
    as credit. `name`: of the optimiser, before the metrics."""
    pair_NK = torch.stack([pairs.winner_N, pairs.loser_N], dim=1)

    def take(x_NGT: Tensor) -> Tensor:
        return x_NGT.gather(1, pair_NK[..., None].expand(-1, -1, x_NGT.shape[-1]))

    credit = {
        "old_logps": take(scored.logps_NGT).sum(-1),
        "ref_logps": take(scored.ref_logps_NGT).sum(-1),
        "kept": pairs.kept_N.float(),
    }
    rows = torch.arange(len(pairs.winner_N))
    gaps_N = scored.scores_NG[rows, pairs.winner_N] - scored.scores_NG[rows, pairs.loser_N]
    metrics = {
        f"{name}/kept_pairs": pairs.kept_N.float().mean().item(),
        f"{name}/preference": pairs.preference_N.mean().item(),
        f"{name}/score_gap": gaps_N.mean().item(),
    }
    return Selection(
        scored.prompt_ids_NP, scored.prompt_mask_NP, take(scored.ids_NGT), take(scored.mask_NGT), credit, metrics
    )


def gap(x_NK: Tensor) -> Tensor:
    """Winner minus loser, (N,)."""
    return x_NK[:, 0] - x_NK[:, 1]
