"""Whether the policy still answers the prompt: repetition within a completion, and sameness across prompts.

distinct-n: Li et al. 2016 (arXiv 1510.03055). Words are what whitespace separates, so a text in a language written
without spaces counts as one word; read these numbers against the start's, not by themselves.
"""

from collections import Counter
from collections.abc import Sequence

from rlx.core.evaluation import Evaluation


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """All runs of n words, in order."""
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams / all n-grams over all texts together; None where no text has n words."""
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def repetition(text: str, n: int) -> float:
    """Share of a text's n-grams that it had said before; 0 for a text of fewer than n words."""
    grams = ngrams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def similarity(texts: Sequence[str], n: int) -> float | None:
    """Mean over pairs i != j of the cosine of n-gram counts: 1 for the same answer to every prompt, 0 where no two
    share an n-gram. By |sum u|^2 = sum |u|^2 + sum over i != j of u_i u_j; texts without n-grams are left aside."""
    total: dict[tuple[str, ...], float] = {}
    counts = [Counter(grams) for grams in (ngrams(text, n) for text in texts) if grams]
    for count in counts:
        norm = sum(c * c for c in count.values()) ** 0.5
        for gram, c in count.items():
            total[gram] = total.get(gram, 0.0) + c / norm
    pairs = len(counts) * (len(counts) - 1)
    return (sum(value * value for value in total.values()) - len(counts)) / pairs if pairs else None


def duplicates(texts: Sequence[str]) -> float:
    """Share of texts that at least one other prompt was given too, word for word."""
    count = Counter(texts)
    return sum(count[text] > 1 for text in texts) / len(texts)


def measure(evaluation: Evaluation) -> dict[str, float]:
    """Shares of 1. What no text is long enough for is left out."""
    texts = [completion.text for completion in evaluation.completions]
    metrics = {
        "diversity/distinct_2": distinct(texts, 2),
        "diversity/similarity": similarity(texts, 2),
        "diversity/repetition": sum(repetition(text, 3) for text in texts) / len(texts),
        "diversity/duplicates": duplicates(texts),
    }
    return {name: value for name, value in metrics.items() if value is not None}
