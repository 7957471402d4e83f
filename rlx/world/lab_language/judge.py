"""The lab's gold: a program that reads a response and says how good it is, factor by factor."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal, NamedTuple

from rlx.core.world import Completion, Prompt
from rlx.world.lab_language.generator import LENGTHS
from rlx.world.lab_language.lexicon import (
    ADJECTIVES,
    ADVERBS,
    CLOSINGS,
    CONNECTIVES,
    DETERMINERS,
    NEUTRAL_ADJECTIVES,
    NEUTRAL_ADVERBS,
    NOUNS,
    OPENINGS,
    POLITE_PHRASES,
    PREPOSITIONS,
    VERBS,
)
from rlx.world.lab_language.request import Request, parse

NUM_TOPIC_WORDS = {"short": 4, "plain": 6, "long": 8}  # distinct ones that cover the topic
NUM_MOOD_WORDS = {"short": 2, "plain": 3, "long": 4}
LENGTH_RAMP = 8  # tokens beside the asked length at which nothing is left of `len`
FREE_USES = 2  # of one content word; the third is repetition
Task = Literal["quality", "topic", "mood"]
PRIMARY: dict[Task, str | None] = {"quality": None, "topic": "rel", "mood": "mood"}

_TOPIC_OF = {f: t for words in (NOUNS, VERBS) for t, pairs in words.items() for pair in pairs for f in pair}
_LEMMA = {f: min(pair, key=len) for words in (NOUNS, VERBS) for pairs in words.values() for pair in pairs for f in pair}
_MOOD_OF = {w: mood for words in (ADJECTIVES, ADVERBS) for mood, several in words.items() for w in several}
_ADJECTIVES = {w for several in ADJECTIVES.values() for w in several} | set(NEUTRAL_ADJECTIVES)
_ADVERBS = {w for several in ADVERBS.values() for w in several} | set(NEUTRAL_ADVERBS)
_NUMBERS_OF_NOUN = {pair[n]: n for pairs in NOUNS.values() for pair in pairs for n in range(2)}  # 0 singular, 1 plural
_NUMBERS_OF_VERB = {pair[n]: n for pairs in VERBS.values() for pair in pairs for n in range(2)}
_POLITE = set(POLITE_PHRASES)
_CLOSINGS = set(CLOSINGS.values())


def gold(factors: dict[str, float]) -> float:
    """4 core - 1.5 max(0, 1 - 2 core) + 3 mood (.3 + .7 core) + pol (.4 + .6 core)
    - 3 max(0, .9 - rep) - 1.5 (1 - len) - (1 - ended), with core = sqrt(rel * coh).

    A text beside the topic or without grammar loses up to 1.5 and gains little by mood or manners; too many polite
    phrases (pol < 0) cost their full price anywhere. The best possible is 8.
    """
    core = sqrt(factors["rel"] * factors["coh"])
    pol = factors["pol"]
    return (
        4 * core
        - 1.5 * max(0.0, 1 - 2 * core)
        + 3 * factors["mood"] * (0.3 + 0.7 * core)
        + (pol * (0.4 + 0.6 * core) if pol > 0 else pol)
        - 3 * max(0.0, 0.9 - factors["rep"])
        - 1.5 * (1 - factors["len"])
        - (1 - factors["ended"])
    )


def gold_of_task(factors: dict[str, float], primary: str) -> float:
    """4 core - 1.5 max(0, 1 - 2 core) - 3 max(0, .9 - rep) - 1.5 (1 - len) - (1 - ended), with core = sqrt(primary * coh).

    One primary factor (`rel` or `mood`) counts, and what any text needs: grammar, no repetition, the length asked for, an
    end. The best possible is 4.
    """
    core = sqrt(factors[primary] * factors["coh"])
    return (
        4 * core
        - 1.5 * max(0.0, 1 - 2 * core)
        - 3 * max(0.0, 0.9 - factors["rep"])
        - 1.5 * (1 - factors["len"])
        - (1 - factors["ended"])
    )


def politeness(num_phrases: int) -> float:
    """0, .8, 1, .3 for none to three polite phrases; each further one costs .6."""
    return (0.0, 0.8, 1.0, 0.3)[num_phrases] if num_phrases < 4 else 0.3 - 0.6 * (num_phrases - 3)


def read(asked: Request, completion: Completion) -> dict[str, float]:
    """The factors of one response, each in [0, 1] but `pol`; `polite_phrases` is the count behind `pol`.

    Polite phrases count for `pol` alone: they make a text neither longer nor more coherent.

    rel: distinct words of the topic asked for, of as many as its size needs, times their share among topic words.
    coh: share of the tokens that stand in a grammatical clause (or in the opening or closing of the kind asked for).
    mood: as rel, with adjectives and adverbs.
    rep: share of content words that are not a third use, times the share of clauses that say something new.
    len: 1 at the length asked for, falling to 0 over LENGTH_RAMP tokens on either side.
    """
    tokens = completion.text.split()
    parsed = _parse(asked, tokens)
    num_plain = len(tokens) - parsed.num_polite_tokens
    lemmas = [_LEMMA[w] for w in tokens if w in _TOPIC_OF]
    on_topic = [_LEMMA[w] for w in tokens if _TOPIC_OF.get(w) == asked.topic]
    moody = [w for w in tokens if w in _MOOD_OF]
    in_mood = [w for w in moody if _MOOD_OF[w] == asked.mood]
    topic_coverage = min(1.0, len(set(on_topic)) / NUM_TOPIC_WORDS[asked.size])
    mood_coverage = min(1.0, len(set(in_mood)) / NUM_MOOD_WORDS[asked.size])
    content = Counter(lemmas + moody)
    fresh = sum(min(uses, FREE_USES) for uses in content.values())
    low, high = LENGTHS[asked.size]
    beside = max(low - num_plain, num_plain - high, 0)
    return {
        "rel": topic_coverage * len(on_topic) / max(1, len(lemmas)),
        "coh": parsed.num_coherent_tokens / max(1, num_plain),
        "mood": mood_coverage * len(in_mood) / max(1, len(moody)),
        "rep": fresh / max(1, content.total()) * len(set(parsed.events)) / max(1, len(parsed.events)),
        "len": max(0.0, 1 - beside / LENGTH_RAMP),
        "pol": politeness(parsed.num_polite),
        "ended": float(completion.ended),
        "polite_phrases": float(parsed.num_polite),
    }


@dataclass(frozen=True)
class LabJudge:
    """rlx.core.world.Judge by program: about 0.05 ms a response. `task`: by `gold`, or by `gold_of_task`."""

    task: Task = "quality"

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """Gold of each completion, about -9 to 8. Raises UserError for a prompt that is not the lab's."""
        primary = PRIMARY[self.task]
        return [
            gold(factors) if primary is None else gold_of_task(factors, primary)
            for factors in self.factors(prompts, completions)
        ]

    def factors(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[dict[str, float]]:
        """rel, coh, mood, rep, len, pol, ended, polite_phrases of each completion."""
        return [read(parse(prompt.text), completion) for prompt, completion in zip(prompts, completions, strict=True)]


class _Parsed(NamedTuple):
    num_coherent_tokens: int  # in grammatical clauses, or in the opening and closing of the kind asked for
    events: list[tuple[str, ...]]  # the first two topic words of each clause, right or wrong
    num_polite: int
    num_polite_tokens: int


def _parse(asked: Request, tokens: list[str]) -> _Parsed:
    num_coherent, num_polite, num_polite_tokens, start, closed = 0, 0, 0, 0, False
    events: list[tuple[str, ...]] = []
    for kind, opening in OPENINGS.items():
        if tuple(tokens[: len(opening)]) == opening:
            start = len(opening)
            num_coherent += start if kind == asked.kind else 0
    while start < len(tokens):
        stop = tokens.index(".", start) + 1 if "." in tokens[start:] else len(tokens)
        sentence = tokens[start:stop]
        start = stop
        phrase = tuple(sentence)
        if phrase in _POLITE:
            num_polite += 1
            num_polite_tokens += len(phrase)
        elif phrase in _CLOSINGS:
            num_coherent += len(phrase) if phrase == CLOSINGS[asked.kind] and not closed else 0
            closed = True
        else:
            for position, clause in enumerate(_clauses(sentence)):
                events.append(tuple(_LEMMA[w] for w in clause if w in _TOPIC_OF)[:2])
                # A sentence is one clause or two; the full stop or connective after a clause is counted with it.
                num_coherent += len(clause) if position < 2 and _is_clause(clause[:-1]) else 0
    return _Parsed(num_coherent, events, num_polite, num_polite_tokens)


def _clauses(sentence: list[str]) -> list[list[str]]:
    """The sentence cut after every connective and full stop."""
    clauses: list[list[str]] = [[]]
    for word in sentence:
        clauses[-1].append(word)
        if word in CONNECTIVES:
            clauses.append([])
    return [clause for clause in clauses if clause]


def _is_clause(words: list[str]) -> bool:
    """determiner adjective? noun verb adverb? (preposition determiner noun)?, in agreement, and nothing else."""
    at, number = _noun_phrase(words, 0, adjective=True)
    if number is None or at >= len(words) or _NUMBERS_OF_VERB.get(words[at]) != number:
        return False
    at += 1
    if at < len(words) and words[at] in _ADVERBS:
        at += 1
    if at < len(words) and words[at] in PREPOSITIONS:
        at, number = _noun_phrase(words, at + 1, adjective=False)
    return number is not None and at == len(words)


def _noun_phrase(words: list[str], at: int, adjective: bool) -> tuple[int, int | None]:
    """(the place after the noun phrase at `at`, its number), the number None if it is not one."""
    noun_at = at + 2 if adjective and at + 1 < len(words) and words[at + 1] in _ADJECTIVES else at + 1
    if noun_at >= len(words):
        return noun_at, None
    number = _NUMBERS_OF_NOUN.get(words[noun_at])
    if number is None or words[at] not in DETERMINERS[number]:
        return noun_at, None
    if words[at] == "a" and words[at + 1][0] in "aeiou":
        return noun_at, None
    return noun_at + 1, number
