"""The parts of a lab completion by lexicon: what a judge or a reward model may find important."""

import re
from itertools import chain

from rlx.world.lab_language.lexicon import ADJECTIVES, ADVERBS, CLOSINGS, NOUNS, OPENINGS, POLITE_PHRASES, VERBS

TOPIC, MOOD, POLITE, FRAME, SMALL = GROUPS = ("topic", "mood", "polite", "opening and closing", "small words")

_TOPIC_WORDS = {form for words in (NOUNS, VERBS) for pairs in words.values() for pair in pairs for form in pair}
_MOOD_WORDS = set(chain(*ADJECTIVES.values(), *ADVERBS.values()))


def pieces(text: str) -> list[tuple[str, str]]:
    """(group, word with the blanks around it) for every word of the text.

    Polite phrases, an opening at the beginning and a closing at the end count as wholes. Of the other words, topic words
    are nouns and verbs of any topic, mood words adjectives and adverbs of any mood, and the rest are small words: full
    stops, determiners, prepositions, connectives and modifiers without a mood.
    """
    found = re.findall(r"\s*\S+\s*", text) or ([text] if text else [])
    words = [piece.strip() for piece in found]
    groups = [TOPIC if word in _TOPIC_WORDS else MOOD if word in _MOOD_WORDS else SMALL for word in words]
    for phrase in POLITE_PHRASES:
        for start in range(len(words) - len(phrase) + 1):
            if tuple(words[start : start + len(phrase)]) == phrase:
                groups[start : start + len(phrase)] = [POLITE] * len(phrase)
    for phrase in OPENINGS.values():
        if tuple(words[: len(phrase)]) == phrase:
            groups[: len(phrase)] = [FRAME] * len(phrase)
    for phrase in CLOSINGS.values():
        if tuple(words[-len(phrase) :]) == phrase:
            groups[-len(phrase) :] = [FRAME] * len(phrase)
    return list(zip(groups, found, strict=True))
