"""The artefacts that best-of-n chooses from, named, and what the cell's choices make of their numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rlx.artefact.store import Recipe
from rlx.core.reference import Reference
from rlx.core.regularizer import Regularizer
from rlx.core.reward import Reward
from rlx.engine.proxy import Proxy
from rlx.optimizer.bon import penalised
from rlx.reference.frozen import Frozen
from rlx.reward.single import Single
from rlx.supervised.pool import (
    DrawnPool,
    Pool,
    PoolGold,
    PoolLogps,
    PoolScores,
    read_factors,
    read_numbers,
    read_pool,
    token_batches,
)
from rlx.supervised.reward_model import RewardMember, RewardModel
from rlx.supervised.sft import SFTPolicy


@dataclass(frozen=True)
class PoolRecipes:
    """A pool and what is said of it, each an artefact by itself. `logps`: under the policy that drew and under the
    reference; none where they are the same."""

    pool: Pool
    gold: PoolGold
    scores: tuple[PoolScores, ...]
    logps: tuple[PoolLogps, ...]

    def named(self) -> dict[str, Recipe]:
        """In the order in which they are built."""
        split = "held-out" if self.pool.split == "heldout" else "training"
        named: dict[str, Recipe] = {f"{split} pool": self.pool, f"{split} pool, gold": self.gold}
        for scores in self.scores:
            whose = f"reward model {scores.members[0].index}" if len(scores.members) == 1 else "averaged reward model"
            named[f"{split} pool, {whose}"] = scores
        whose = ("policy", "reference")
        return named | {
            f"{split} pool, log-probabilities of the {w}": x for w, x in zip(whose, self.logps, strict=False)
        }


def pool_recipes(
    pool: Pool,
    reward: Reward,
    members: tuple[RewardMember, ...],
    reference: Reference,
    policies: tuple[SFTPolicy, ...],
    rows: int,
    numbers: RewardModel,
) -> PoolRecipes:
    """The recipes for a choice of reward and reference. Members that a reward scores one by one are scored one by one,
    so that the next reward finds them. `numbers` are those of a gold model, should one have to be trained."""
    world = pool.policy.world
    checkpoint = world.gold
    gold = PoolGold(pool, checkpoint, None if checkpoint or world.judge() is not None else numbers)
    if reward.scores_each_member:
        scores = tuple(PoolScores(pool, Single(member.index), (member,)) for member in members)
    else:
        scores = (PoolScores(pool, reward, members),) if members else ()
    logps: tuple[PoolLogps, ...] = ()
    if not reference.is_start:
        logps = (PoolLogps(pool, Frozen(), policies[:1], rows), PoolLogps(pool, reference, policies, rows))
    return PoolRecipes(pool, gold, scores, logps)


@dataclass(frozen=True)
class ScoredPool:
    """P prompts, N completions each. `proxy`: as measured; `chosen_by`: what is optimised of it less beta times the
    penalty; `clipped`: 1 where the clip changed the proxy, None without a clip; `log_ratio`: log of the policy that drew
    over the reference, in nats per completion."""

    drawn: DrawnPool
    proxy_PN: np.ndarray
    chosen_by_PN: np.ndarray
    clipped_PN: np.ndarray | None
    gold_PN: np.ndarray
    log_ratio_PN: np.ndarray
    factors_PN: dict[str, np.ndarray]  # what gold is made of, by name


def scored_pool(
    recipes: PoolRecipes, paths: Mapping[str, Path], proxy: Proxy, regularizer: Regularizer, seed: int
) -> ScoredPool:
    """Read the artefacts at `paths` (by the names of `recipes`) and aggregate. The penalty's batch, which the slope of
    sqrt(chi2) depends on, is the whole pool. A reward without members scores now."""
    at = {id(recipe): paths[name] for name, recipe in recipes.named().items()}
    drawn = read_pool(at[id(recipes.pool)])
    if recipes.scores:
        members_MB = torch.cat([read_numbers(at[id(scores)], "scores") for scores in recipes.scores])
    else:
        found = list(token_batches(recipes.pool.encoded(seed), drawn))
        order = torch.cat([places for places, _ in found]).argsort()
        members_MB = torch.cat([proxy.scorer.member_scores(*batch).double() for _, batch in found], 1)[:, order]
    proxy_B = proxy.measured(members_MB).double()
    logps = [read_numbers(at[id(recipe)], "logps") for recipe in recipes.logps] or [torch.zeros_like(proxy_B)] * 2
    # Divergences are of whole completions: one is as good as a single token of the same log-ratio.
    mask_B1 = torch.ones(len(proxy_B), 1, dtype=torch.bool)
    penalty_B = regularizer.penalty(logps[0][:, None], logps[1][:, None], mask_B1).sum(-1)
    chosen_by_B = penalised(proxy.optimised(proxy_B, drawn.ended_B), penalty_B, regularizer.beta)
    clipped_B = proxy.clipped(proxy_B)
    gold_B = read_numbers(at[id(recipes.gold)], "gold")
    shape = (-1, recipes.pool.num_samples)

    def by_prompt(x_B: torch.Tensor) -> np.ndarray:
        return x_B.view(shape).numpy()

    return ScoredPool(
        drawn,
        by_prompt(proxy_B),
        by_prompt(chosen_by_B),
        None if clipped_B is None else by_prompt(clipped_B.double()),
        by_prompt(gold_B),
        by_prompt(logps[0] - logps[1]),
        {name: by_prompt(x_B) for name, x_B in read_factors(at[id(recipes.gold)]).items()},
    )
