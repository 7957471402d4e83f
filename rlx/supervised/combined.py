"""Reward models on pairs: each member, the mean of their scores, the mean of their weights, and the line between two.

WARM's Observations 1 and 2 (arXiv 2401.12187, section 3): members that share their start are linearly mode connected, so
that the accuracy of (1 - w) phi_0 + w phi_1 lies on or above the diagonal (1 - w) acc_0 + w acc_1; and the averaged weights
give fewer flipped labels back than the averaged scores do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from transformers import PreTrainedConfig

from rlx.artefact.store import Store
from rlx.model.average import averaged_directory
from rlx.model.score_head import load_reward_model, shared_scores
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.reward.warm import warm_weights
from rlx.supervised.accuracy import Scores, judged
from rlx.supervised.pairs import Preference, parts, read
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.reward_rows import RewardRows

LINE = (0.25, 0.5, 0.75)  # weights of the second member; 0 and 1 are the members themselves
Values = dict[str, tuple[np.ndarray, np.ndarray]]  # part -> scores of the chosen and of the rejected


@dataclass(frozen=True)
class MembersOnPairs:
    """accuracy.json: a row (`rlx.supervised.accuracy.judged`) per member, and for several members one of the mean of their
    z-scores ("mean"), one of WARM's average ("warm") and five along the line between the first two ("line", with `weight`,
    the `diagonal` and the accuracy of the `scores` averaged with the same weights).

    All are measured on all held-out pairs, and on at most `rlx.supervised.pairs.MAX_MEASURED` training pairs with true
    labels and as many with flipped ones. Several processes score a share each.
    """

    VERSION: ClassVar[int] = 1

    members: tuple[RewardMember, ...]

    def build(self, directory: Path, store: Store, seed: int) -> None:
        pairs = store.fetch(self.members[0].pairs, seed)
        paths = [store.fetch(member, seed) for member in self.members]
        measured = parts(read(pairs / "pairs.jsonl"), read(pairs / "heldout.jsonl"))
        with stage("reward models on pairs", len(paths) + (1 + len(LINE)) * (len(paths) > 1)) as bar:
            scorer = _PairScorer(self.members[0], measured)
            raw = []
            for path in paths:
                raw.append(scorer.of(path))
                bar.advance(1)
            rows = [scorer.row("member", values) for _, values in raw]
            if len(paths) > 1:
                scaled = [_scaled(config, values) for config, values in raw]
                rows.append(scorer.row("mean", _weighted(scaled, warm_weights(len(paths)))))
                rows.append(scorer.row("warm", scorer.averaged(paths, warm_weights(len(paths)))))
                bar.advance(1)
                rows += self._line(scorer, paths[:2], scaled[:2], rows[:2], bar)
        (directory / "accuracy.json").write_text(json.dumps(rows, indent=1, sort_keys=True), encoding="utf-8")

    @staticmethod
    def _line(scorer: "_PairScorer", paths: Sequence[Path], scaled: Sequence[Values], ends: Sequence[dict], bar):
        for weight in (0.0, *LINE, 1.0):
            weights = [1 - weight, weight]
            if weight in LINE:
                row = scorer.row("line", scorer.averaged(paths, weights))
                bar.advance(1)
            else:
                row = ends[int(weight)] | {"kind": "line"}
            yield row | {
                "weight": weight,
                "diagonal": {
                    name: (1 - weight) * ends[0]["accuracy"][name] + weight * ends[1]["accuracy"][name]
                    for name in row["accuracy"]
                },
                "scores": scorer.row("line", _weighted(scaled, weights))["accuracy"],
            }


class _PairScorer:
    def __init__(self, member: RewardMember, measured: dict[str, list[Preference]]) -> None:
        self.parts = measured
        rows = RewardRows(member.model, [pair.prompt for part in measured.values() for pair in part])
        pairs = rows.of_pairs([pair for part in measured.values() for pair in part])
        self.rows = [ids for both in zip(pairs.chosen, pairs.rejected, strict=True) for ids in both]

    def of(self, path: Path) -> tuple[PreTrainedConfig, Values]:
        """The config of the reward model at `path`, and the model's raw scores by part."""
        model = on_device(load_reward_model(path))
        scores_B = shared_scores(model, self.rows).double().numpy()
        values, start = {}, 0
        for name, part in self.parts.items():
            own_B2 = scores_B[start : start + 2 * len(part)].reshape(-1, 2)
            values[name] = (own_B2[:, 0], own_B2[:, 1])
            start += 2 * len(part)
        return model.config, values

    def averaged(self, paths: Sequence[Path], weights: Sequence[float]) -> Values:
        """Scores of the model with the weighted mean of the weights."""
        with averaged_directory(paths, weights) as directory:
            return self.of(directory)[1]

    def row(self, kind: str, values: Values) -> dict:
        names = {id(part): name for name, part in self.parts.items()}

        def scores(part: list[Preference]) -> Scores:
            chosen_B, rejected_B = values[names[id(part)]]
            return chosen_B.tolist(), rejected_B.tolist()

        return judged(kind, self.parts, scores)


def _scaled(config, values: Values) -> Values:
    """On the member's z-scale, as the ensembles add them up."""
    mean, std = config.score_mean, config.score_std
    return {name: ((chosen - mean) / std, (rejected - mean) / std) for name, (chosen, rejected) in values.items()}


def _weighted(members: Sequence[Values], weights: Sequence[float]) -> Values:
    return {
        name: (
            sum(w * values[name][0] for w, values in zip(weights, members, strict=True)),
            sum(w * values[name][1] for w, values in zip(weights, members, strict=True)),
        )
        for name in members[0]
    }  # pyright: ignore[reportReturnType]
