"""Writes responses of a latent quality, with the defects that the judge punishes and a spurious tie to politeness.

A quality (bad, mediocre, good) is drawn; every craft (topic, mood, grammar, variety, length) is at that level with
probability FOLLOW and at an independent one otherwise, so the texts differ in more than one direction. How many polite
phrases a text has follows its quality with probability `spurious_strength`: the true worth of a phrase is small.
"""

import random
from dataclasses import dataclass

from rlx.world.lab_language.lexicon import (
    ADJECTIVES,
    ADVERBS,
    CLOSINGS,
    CONNECTIVES,
    DETERMINERS,
    MOODS,
    NEUTRAL_ADJECTIVES,
    NEUTRAL_ADVERBS,
    NOUNS,
    OPENINGS,
    POLITE_PHRASES,
    PREPOSITIONS,
    SIZES,
    TOPICS,
    VERBS,
)
from rlx.world.lab_language.request import Request

BAD, MEDIOCRE, GOOD = range(3)
FOLLOW = 0.55
LENGTHS = {"short": (12, 18), "plain": (19, 27), "long": (28, 38)}  # tokens beside polite phrases; both ends included

# By level: bad, mediocre, good.
ON_TOPIC = (0.2, 0.6, 1.0)  # of a clause
IN_MOOD = (0.1, 0.45, 0.95)  # of an adjective or adverb
BROKEN = (0.5, 0.2, 0.0)  # of a clause's grammar
MODIFIED = (0.4, 0.5, 0.75)  # of a noun or verb that might carry an adjective or adverb
REPEATED = (0.45, 0.15, 0.0)  # of a clause
POLITE_FIRST = 0.8  # of polite phrases stand at the beginning, the others anywhere
JOINED = 0.35  # of a clause to the one before it, by a connective
SLIP = (None, 5, 0)  # tokens beside the length asked for; None: another size altogether


@dataclass(frozen=True)
class Levels:
    """The level of each craft of one text."""

    topic: int
    mood: int
    grammar: int
    variety: int
    length: int


def draw_levels(rng: random.Random, quality: int, quality_shares: tuple[float, ...]) -> Levels:
    """Each craft follows the quality with probability FOLLOW, else is drawn by the shares alone."""
    return Levels(*(quality if rng.random() < FOLLOW else rng.choices(range(3), quality_shares)[0] for _ in range(5)))


def respond(rng: random.Random, asked: Request, quality_shares: tuple[float, ...], spurious_strength: float) -> str:
    """One response of a drawn quality. `quality_shares` are the shares of bad, mediocre and good."""
    quality = rng.choices(range(3), quality_shares)[0]
    num_polite = quality if rng.random() < spurious_strength else rng.randrange(4)
    return write(rng, asked, draw_levels(rng, quality, quality_shares), num_polite)


def write(rng: random.Random, asked: Request, levels: Levels, num_polite: int) -> str:
    """A text with the given levels and number of polite phrases."""
    opening = OPENINGS[asked.kind] if rng.random() < 0.3 else ()
    closing = CLOSINGS[asked.kind] if rng.random() < 0.3 else ()
    room = _target_length(rng, asked.size, levels.length) - len(opening) - len(closing)
    sentences = _sentences(rng, asked, levels, room)
    first = 1 if opening else 0  # an opening ends in a comma: a clause must follow it
    for phrase in rng.sample(POLITE_PHRASES, num_polite):
        place = first if rng.random() < POLITE_FIRST else rng.randint(first, len(sentences))
        sentences.insert(place, list(phrase))
    return " ".join([*opening, *(word for sentence in sentences for word in sentence), *closing])


def _target_length(rng: random.Random, size: str, level: int) -> int:
    slip = SLIP[level]
    if slip is None:
        size, slip = rng.choice([s for s in SIZES if s != size]), 0
    low, high = LENGTHS[size]
    return rng.randint(low, high) + rng.choice((-slip, slip))


def _sentences(rng: random.Random, asked: Request, levels: Levels, room: int) -> list[list[str]]:
    """Sentences of one or two clauses until `room` tokens are full; at least one."""
    writer = _Clauses(rng, asked, levels)
    sentences: list[list[str]] = []
    used = 0
    while not sentences or room - used > 3:
        clause = writer.clause(room - used - 1)
        if sentences and not _joined(sentences[-1]) and rng.random() < JOINED:
            sentences[-1][-1:] = [rng.choice(CONNECTIVES), *clause, "."]
        else:
            sentences.append([*clause, "."])
        used += len(clause) + 1
    return sentences


def _joined(sentence: list[str]) -> bool:
    return any(word in CONNECTIVES for word in sentence)


class _Clauses:
    """Writes clauses: determiner, adjective?, noun, verb, adverb?, (preposition, determiner, noun)?"""

    def __init__(self, rng: random.Random, asked: Request, levels: Levels) -> None:
        self.rng, self.asked, self.levels = rng, asked, levels
        self.other_topic = rng.choice([topic for topic in TOPICS if topic != asked.topic])
        self.other_mood = rng.choice([mood for mood in MOODS if mood != asked.mood])
        self.uses: dict[str, int] = {}
        self.events: set[tuple[str, str]] = set()
        self.written: list[list[str]] = []

    def clause(self, room: int) -> list[str]:
        """One more clause, of about `room` tokens at most (three are the least)."""
        rng, levels = self.rng, self.levels
        if self.written and rng.random() < REPEATED[levels.variety]:
            return list(rng.choice(self.written))
        topic = self.asked.topic if rng.random() < ON_TOPIC[levels.topic] else self.other_topic
        number = rng.randrange(2)
        noun, verb = self._fresh(NOUNS[topic]), self._fresh(VERBS[topic])
        for _ in range(4):
            if levels.variety < GOOD or (noun[0], verb[1]) not in self.events:
                break
            noun, verb = self._fresh(NOUNS[topic]), self._fresh(VERBS[topic])
        self.events.add((noun[0], verb[1]))
        self._use(noun[0])
        self._use(verb[1])
        subject = [noun[number]]
        if room > 3 and rng.random() < MODIFIED[levels.mood]:
            subject.insert(0, self._modifier(ADJECTIVES, NEUTRAL_ADJECTIVES))
        tail = [self._modifier(ADVERBS, NEUTRAL_ADVERBS)] if room > 4 and rng.random() < MODIFIED[levels.mood] else []
        if room > 7 and rng.random() < 0.2:
            place, place_number = self._fresh(NOUNS[topic]), rng.randrange(2)
            self._use(place[0])
            tail += [rng.choice(PREPOSITIONS), *self._determined([place[place_number]], place_number)]
        clause = [*self._determined(subject, number), verb[number], *tail]
        if rng.random() < BROKEN[levels.grammar]:
            clause = _broken(rng, clause, noun[number], verb[number], verb[1 - number])
        self.written.append(clause)
        return clause

    def _fresh(self, forms: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        """A word; a varied writer uses none a third time. Words are counted in their shorter form."""
        if self.levels.variety == GOOD:
            forms = tuple(f for f in forms if self._used(f) < 2) or forms
        return self.rng.choice(forms)

    def _used(self, form: tuple[str, str]) -> int:
        return self.uses.get(min(form, key=len), 0)

    def _use(self, word: str) -> None:
        self.uses[word] = self.uses.get(word, 0) + 1

    def _determined(self, phrase: list[str], number: int) -> list[str]:
        choices = DETERMINERS[number]
        return [self.rng.choice([d for d in choices if d != "a" or phrase[0][0] not in "aeiou"]), *phrase]

    def _modifier(self, by_mood: dict[str, tuple[str, ...]], neutral: tuple[str, ...]) -> str:
        rng = self.rng
        if rng.random() < IN_MOOD[self.levels.mood]:
            words = by_mood[self.asked.mood]
        else:
            words = by_mood[self.other_mood] if rng.random() < 0.5 else neutral
        if self.levels.variety == GOOD:
            words = tuple(w for w in words if self.uses.get(w, 0) < 2) or words
        word = rng.choice(words)
        self._use(word)
        return word


def _broken(rng: random.Random, clause: list[str], noun: str, verb: str, other_form: str) -> list[str]:
    """The clause with one mistake: disagreement (half of all), no verb, no determiner, or noun and verb exchanged."""
    at = clause.index(verb)
    mistake = rng.randrange(6)
    if mistake < 3:
        return [*clause[:at], other_form, *clause[at + 1 :]]
    if mistake == 3:
        return [*clause[:at], *clause[at + 1 :]]
    if mistake == 4:
        return clause[1:]
    return [*clause[: at - 1], verb, noun, *clause[at + 1 :]]
