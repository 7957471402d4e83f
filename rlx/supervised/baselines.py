"""Trivial judges of pairs, to hold reward models and gold against: the longer one, and a bag of words.

A judge that is not better than these has learnt little that the pairs' surface does not say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

from rlx.artefact.store import Store
from rlx.core.world import Pair
from rlx.process import processes
from rlx.supervised.accuracy import Scores, credit, judged, lengths, share
from rlx.supervised.limit import length_limit
from rlx.supervised.pairs import Preference, PreferencePairs, ended, parts, read

STRENGTHS = (0.01, 0.1, 1.0)  # C, the inverse of the L2 penalty; cross-validation over training prompts chooses
FOLDS = 5
MAX_WORDS = 20_000  # the most frequent ones


class BagOfWords:
    """Bradley-Terry by logistic regression without intercept on log(1 + count) of words and punctuation marks."""

    def __init__(self, pairs: Sequence[Preference]) -> None:
        self.counts = CountVectorizer(token_pattern=r"\w+|[^\w\s]", max_features=MAX_WORDS)
        self.counts.fit([text for p in pairs for text in (p.chosen.text, p.rejected.text)])
        chosen_BW, rejected_BW = self._features(pairs)
        # Each pair stands there in both orders, so that the labels have two values and no order is preferred.
        differences_BW = sparse.vstack([chosen_BW - rejected_BW, rejected_BW - chosen_BW]).tocsr()
        labels_B = np.repeat([1, 0], len(pairs))
        prompts_B = np.tile([p.prompt.id for p in pairs], 2)
        folds = min(FOLDS, len(set(prompts_B)))
        found = {1.0: 0.0}
        if folds > 1:
            found = {
                strength: cross_val_score(
                    _regression(strength),
                    differences_BW,
                    labels_B,
                    groups=prompts_B,
                    cv=GroupKFold(folds),
                    scoring="neg_log_loss",
                ).mean()
                for strength in STRENGTHS
            }
        self.strength = max(found, key=lambda strength: found[strength])
        self.weight_W = _regression(self.strength).fit(differences_BW, labels_B).coef_[0]

    def scores(self, pairs: Sequence[Preference]) -> Scores:
        """Of the chosen and of the rejected completions."""
        chosen_BW, rejected_BW = self._features(pairs)
        return chosen_BW @ self.weight_W, rejected_BW @ self.weight_W

    def _features(self, pairs: Sequence[Preference]) -> tuple[sparse.csr_array, sparse.csr_array]:
        chosen, rejected = [p.chosen.text for p in pairs], [p.rejected.text for p in pairs]
        found_BW = [self.counts.transform(texts).tocsr() for texts in (chosen, rejected)]
        for counts_BW in found_BW:
            counts_BW.data = np.log1p(counts_BW.data)
        return found_BW[0], found_BW[1]


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)


@dataclass(frozen=True)
class PairBaselines:
    """baselines.json: a row (`rlx.supervised.accuracy.judged`) for each baseline, trained as the members are, on the same
    training pairs with their flipped labels. Where the world gives pairs, the row of "longer" says in `limit` what the
    length limit leaves out, and how often the longer one is right before and after it."""

    VERSION: ClassVar[int] = 1

    pairs: PreferencePairs

    def build(self, directory: Path, store: Store, seed: int) -> None:
        path, within = store.fetch(self.pairs, seed), self._within_limit(seed)
        if not processes.first():
            return  # what the first process writes is kept
        train, heldout = read(path / "pairs.jsonl"), read(path / "heldout.jsonl")
        measured = parts(train, heldout)
        bag = BagOfWords(train)
        rows = [
            judged("longer", measured, lengths) | {"limit": within and _told(within)},
            judged("bag_of_words", measured, bag.scores) | {"strength": bag.strength},
        ]
        (directory / "baselines.json").write_text(json.dumps(rows, indent=1, sort_keys=True), encoding="utf-8")

    def _within_limit(self, seed: int) -> dict[str, tuple[Sequence[Pair], Sequence[Pair]]] | None:
        """By split: the pairs that were given, and those that fit; None where they are drawn. Every process must call this."""
        clean = self.pairs.clean
        given = clean.world.pairs(seed)
        if given is None:
            return None
        limit = length_limit(clean.world, clean.model.tokenizer())
        splits = {"train": given, "heldout": clean.world.heldout_pairs(seed)}
        return {split: (pairs, limit.pairs(pairs)[0]) for split, pairs in splits.items()}


def _told(within: Mapping[str, tuple[Sequence[Pair], Sequence[Pair]]]) -> dict[str, dict]:
    """By split: how many pairs were given and how many fit, and the longer one's accuracy on both."""
    return {
        split: {
            "given": len(given),
            "kept": len(kept),
            "longer_given": _longer(given),
            "longer_kept": _longer(kept),
        }
        for split, (given, kept) in within.items()
    }


def _longer(given: Sequence[Pair]) -> dict[str, float | None] | None:
    pairs = [ended(pair) for pair in given]
    found = share(credit(*lengths(pairs)), [pair.prompt.id for pair in pairs])
    return None if found is None else asdict(found)
