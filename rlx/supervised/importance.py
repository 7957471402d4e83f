"""What reward models find important: exact Shapley values of their scores over the groups of factors of a world.

A group is taken away by deleting its words from the completion, not by hiding them from attention: the model then reads a
text as any other, with ordinary positions, and gold, which reads texts, plays the very same game. The price is that a
shorter text is shorter: a model that likes length likes every group a little, in proportion to its words.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedConfig

from rlx.artefact.store import Store
from rlx.attribution.importance import (
    importance,
    mean_divergence,
    mean_tau,
    ordered_alike,
    primary,
    share_errors,
    shares,
)
from rlx.attribution.shapley import shapley
from rlx.core.world import FactorWorld, Judge
from rlx.model.average import averaged_directory
from rlx.model.score_head import load_reward_model, shared_scores
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.reward.warm import warm_weights
from rlx.supervised.coalitions import coalition_texts, numbered
from rlx.supervised.pairs import Preference, PreferencePairs, read
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.reward_rows import RewardRows

NUM_TEXTS = 64  # completions that a run's report attributes
EPS = 1e-3  # added to every share, so that a divergence is finite
MASS = 0.8  # of the importance, which primary groups hold together


@dataclass(frozen=True)
class FactorImportance:
    """importance.json: `groups`, the number of `texts` and `prompts`, `rows` (`row`), and `agreement` of the members.

    A row per member, and one of the mean of their z-scores ("mean") and of WARM's average ("warm") where there are several.
    One of gold ("gold") where it is a program. The texts are both completions of the first `num_texts / 2` pairs.
    """

    VERSION: ClassVar[int] = 1

    members: tuple[RewardMember, ...]
    pairs: PreferencePairs
    split: Literal["heldout", "train"]
    num_texts: int
    groups: tuple[str, ...]

    def build(self, directory: Path, store: Store, seed: int) -> None:
        world = self.pairs.clean.world
        assert isinstance(world, FactorWorld)
        name = "heldout.jsonl" if self.split == "heldout" else "pairs.jsonl"
        given = read(store.fetch(self.pairs, seed) / name)[: self.num_texts // 2]
        paths = [store.fetch(member, seed) for member in self.members]
        reduced = Reduced(world, given)
        with stage("importance of factors", max(1, len(paths) + (len(paths) > 1))) as bar:
            rows, scaled = self._of_members(reduced, paths, bar)
            if (judge := self.pairs.clean.world.judge()) is not None:
                rows.append(reduced.row("gold", reduced.of_judge(judge)))
            bar.advance(1 if not paths else 0)
        found = {
            "groups": list(self.groups),
            "split": self.split,
            "texts": len(reduced.completions),
            "prompts": len({prompt.id for prompt in reduced.prompts}),
            "rows": rows,
            "agreement": agreement([row for row in rows if row["kind"] == "member"], self.groups) | orders(scaled),
        }
        (directory / "importance.json").write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")

    def _of_members(self, reduced: "Reduced", paths: Sequence[Path], bar: Any) -> tuple[list[dict], list[Tensor]]:
        """The rows, and the members' values of all coalitions (S, B) on their z-scales."""
        rows, scaled = [], []
        if not paths:
            return rows, scaled
        encoded = reduced.encoded(RewardRows(self.members[0].model, reduced.prompts))
        for member, path in zip(self.members, paths, strict=True):
            values_SB, config = encoded.of_model(path)
            scaled.append((values_SB - config.score_mean) / config.score_std)
            rows.append(reduced.row("member", values_SB) | {"index": member.index})
            bar.advance(1)
        if len(paths) > 1:
            rows.append(reduced.row("mean", torch.stack(scaled).mean(0)))
            with averaged_directory(paths, warm_weights(len(paths))) as averaged:
                rows.append(reduced.row("warm", encoded.of_model(averaged)[0]))
            bar.advance(1)
        return rows, scaled


class Reduced:
    """The texts of `pairs` with every coalition of groups kept, equal texts once."""

    def __init__(self, world: FactorWorld, pairs: Sequence[Preference]) -> None:
        self.groups = world.factor_groups
        self.attribution = shapley(len(self.groups))
        self.prompts = [pair.prompt for pair in pairs for _ in range(2)]
        self.completions = list(chain.from_iterable((pair.chosen, pair.rejected) for pair in pairs))
        texts_BS = [
            coalition_texts(world, completion.text, self.attribution.kept_SG) for completion in self.completions
        ]
        keys_SB = [list(enumerate(texts_B)) for texts_B in zip(*texts_BS, strict=True)]
        distinct, self.places_SB = numbered(keys_SB)
        self.distinct = [(self.prompts[b], replace(self.completions[b], text=text)) for b, text in distinct]

    def encoded(self, rows: RewardRows) -> "Encoded":
        """The texts as ids of a reward model."""
        prompts, completions = zip(*self.distinct, strict=True)
        return Encoded(rows.rows(prompts, completions), self.places_SB)

    def of_judge(self, judge: Judge) -> Tensor:
        """Gold's values of all coalitions, (S, B) in float64."""
        prompts, completions = zip(*self.distinct, strict=True)
        return torch.tensor(judge.score(prompts, completions), dtype=torch.float64)[self.places_SB]

    def row(self, kind: str, values_SB: Tensor) -> dict[str, Any]:
        """A JSON-able row. `attribution` and `importance` are the means over texts of the attribution and of its absolute
        value, in standard deviations of the model's own scores of the whole texts; `share` is the distribution of
        importance and `error` its standard error over prompts. `efficiency`: by how much base and attributions miss the
        score at most."""
        sd = float(values_SB[-1].std(correction=0)) or 1.0
        values_SB = (values_SB - values_SB[-1].mean()) / sd
        phi_BG = self.attribution.phi(values_SB)
        missed_B = values_SB[0] + phi_BG.sum(1) - values_SB[-1]
        importance_G = importance(phi_BG)
        share_G = shares(importance_G, EPS).tolist()
        errors_G = share_errors(phi_BG.numpy(), [prompt.id for prompt in self.prompts])
        return {
            "kind": kind,
            "base": float(values_SB[0].mean()),
            "attribution": self._named(phi_BG.mean(0).tolist()),
            "importance": self._named(importance_G.tolist()),
            "share": self._named(share_G),
            "error": self._named([None if np.isnan(error) else float(error) for error in errors_G]),
            "primary": [self.groups[g] for g in primary(share_G, MASS)],
            "efficiency": float(missed_B.abs().max()),
        }

    def _named(self, values_G: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.groups, values_G, strict=True))


@dataclass(frozen=True)
class Encoded:
    """Distinct rows of ids, and which of them each coalition of each text is. Several processes score a share each."""

    rows: list[list[int]]
    places_SB: Tensor

    def of_model(self, path: Path) -> tuple[Tensor, PreTrainedConfig]:
        """Raw scores of all coalitions, (S, B) in float64, and the config of the reward model at `path`."""
        model = on_device(load_reward_model(path))
        return shared_scores(model, self.rows).double()[self.places_SB], model.config


def orders(values: Sequence[Tensor]) -> dict[str, Any]:
    """Of how many pairs of groups, over all pairs of models, the consistency property fixes the `orders` (`ordered_alike`):
    {"pairs", "fixed"}. `values`: those of all coalitions (S, B), on one scale. Empty for fewer than two models."""
    if len(values) < 2:
        return {}
    plan = shapley(len(values[0]).bit_length() - 1)
    fixed = [
        len(ordered_alike(one_SB, other_SB, importance(plan.phi(one_SB)), 1e-9))
        for one_SB, other_SB in combinations(values, 2)
    ]
    num = len(plan.weights_GS)
    return {"orders": {"pairs": len(fixed) * num * (num - 1) // 2, "fixed": sum(fixed)}}


def agreement(rows: Sequence[dict[str, Any]], groups: Sequence[str]) -> dict[str, Any]:
    """How far models agree: Kendall's `tau` (mean over pairs), `divergence` (mean KL from their average in nats), and per
    group the `range` of their shares. Empty for fewer than two."""
    if len(rows) < 2:
        return {}
    shares_MG = [[row["share"][group] for group in groups] for row in rows]
    ranges = {
        group: max(column) - min(column) for group, column in zip(groups, zip(*shares_MG, strict=True), strict=True)
    }
    return {"tau": mean_tau(shares_MG), "divergence": mean_divergence(shares_MG), "range": ranges}
