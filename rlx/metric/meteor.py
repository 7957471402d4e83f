"""METEOR similarity of answers to different prompts: the measure of collapse of SuperHF (arXiv 2310.16763, section 4).

METEOR (Lavie and Agarwal 2007) aligns words and lowers their harmonic mean of precision and recall by how scattered the
matches are. Words match if they are equal or have the same Porter stem. METEOR's third stage, synonyms, is left out: it
needs WordNet, which is data to download, so numbers are lower bounds of those with it. Porter stems are English.
"""

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

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


def meteor_similarity(texts: Sequence[str], max_pairs: int = MAX_PAIRS, max_words: int = MAX_WORDS) -> float | None:
    """Mean over ordered pairs of different texts' places; empty texts are left aside. None where fewer than two are left."""
    texts = [text for text in texts if text.strip()]
    scores = [meteor(texts[a], texts[b]) for i, j in pairs_of(texts, max_pairs, max_words) for a, b in ((i, j), (j, i))]
    return sum(scores) / len(scores) if scores else None


def measure(evaluation: Evaluation) -> dict[str, float]:
    """diversity/meteor; compare it with the start's, whose topics and phrases repeat as well."""
    similarity = meteor_similarity([completion.text for completion in evaluation.completions])
    return {} if similarity is None else {"diversity/meteor": similarity}


def _shuffled(num: int, max_pairs: int) -> Iterator[tuple[int, int]]:
    every = list(combinations(range(num), 2))
    yield from random.Random(seed_of("meteor", num)).sample(every, min(max_pairs, len(every)))
