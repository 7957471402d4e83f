"""METEOR similarity of answers to different prompts: the measure of collapse of SuperHF (arXiv 2310.16763, section 4).

METEOR (Lavie and Agarwal 2007) aligns words and lowers their harmonic mean of precision and recall by how scattered the
matches are. Words match if they are equal or have the same Porter stem. METEOR's third stage, synonyms, is left out: it
needs WordNet, which is data to download, so numbers are lower bounds of those with it. Porter stems are English.

Its interval counts that pairs share texts: the dyadic variance of Aronow, Samii and Assenova 2015 (Political Analysis 23).
"""

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score
from scipy import stats

from rlx.core.evaluation import Evaluation
from rlx.core.seed import seed_of

MAX_PAIRS = 128  # of texts; each is read in both orders
MAX_WORDS = 12_000  # in all pairs together: what bounds the time where texts are long


class _Stemmer:
    """Porter's, remembering: stemming is nearly all of METEOR's time, and policies repeat their words."""

    stem = staticmethod(lru_cache(maxsize=100_000)(PorterStemmer().stem))


class _NoSynonyms:
    def synsets(self, word: str) -> tuple[()]:
        return ()


def meteor(reference: str, hypothesis: str) -> float:
    """METEOR of two texts cut at white space, in [0, 1): 0 where no word matches, 1 - .5 / words^3 for equal texts."""
    return single_meteor_score(
        reference.split(),
        hypothesis.split(),
        stemmer=_Stemmer(),  # pyright: ignore[reportArgumentType]
        wordnet=_NoSynonyms(),  # pyright: ignore[reportArgumentType]
    )


def pairs_of(texts: Sequence[str], max_pairs: int, max_words: int) -> list[tuple[int, int]]:
    """Pairs of places, first before second: all, or a random part of them that is the same for the same number of
    texts. It ends where the pairs' words exceed `max_words`, but not before there is one."""
    chosen, words = [], 0
    for i, j in _shuffled(len(texts), max_pairs):
        words += len(texts[i].split()) + len(texts[j].split())
        if chosen and words > max_words:
            break
        chosen.append((i, j))
    return chosen


def scores_of_pairs(texts: Sequence[str], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return per pair the mean METEOR of its two orders, shape (num_pairs,)."""
    return np.array([(meteor(texts[i], texts[j]) + meteor(texts[j], texts[i])) / 2 for i, j in pairs])


def dyadic_interval(scores: np.ndarray, pairs: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean score where pairs that share a text are correlated; None below 4 texts.

    Var = sum of e_p e_q over pairs p, q that share a text, over the squared number of pairs; at least its part p = q.
    Student's t with as many degrees of freedom as texts, less two; the factor n / (n - 2) makes up for the estimated mean.
    """
    num_texts, error_P = len({text for pair in pairs for text in pair}), scores - scores.mean()
    if num_texts < 4:
        return None
    of_text = np.zeros(1 + max(map(max, pairs)))
    for side in (0, 1):
        np.add.at(of_text, [pair[side] for pair in pairs], error_P)
    own = float(np.sum(error_P**2))
    variance = max(float(np.sum(of_text**2)) - own, own) / len(pairs) ** 2 * num_texts / (num_texts - 2)
    half = float(stats.t.ppf(0.975, num_texts - 2)) * variance**0.5
    return float(scores.mean()) - half, float(scores.mean()) + half


def measure(evaluation: Evaluation) -> dict[str, float]:
    """diversity/meteor with its interval and the number of pairs that it rests on; compare it with the start's, whose
    topics and phrases repeat as well. Empty texts are left aside; nothing where fewer than two are left."""
    texts = [completion.text for completion in evaluation.completions if completion.text.strip()]
    pairs = pairs_of(texts, MAX_PAIRS, MAX_WORDS)
    if not pairs:
        return {}
    scores = scores_of_pairs(texts, pairs)
    found = {"diversity/meteor": float(scores.mean()), "diversity/meteor_pairs": float(len(pairs))}
    if (bounds := dyadic_interval(scores, pairs)) is not None:
        found["diversity/meteor_low"], found["diversity/meteor_high"] = bounds
    return found


def _shuffled(num: int, max_pairs: int) -> Iterator[tuple[int, int]]:
    every = list(combinations(range(num), 2))
    yield from random.Random(seed_of("meteor", num)).sample(every, min(max_pairs, len(every)))
