"""What a prompt of the lab asks for, how it is put into words, and which prompts are held out."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product

from rlx.core.error import UserError
from rlx.core.seed import seed_of
from rlx.core.world import Prompt, Split
from rlx.world.lab_language.lexicon import KINDS, MOODS, SEPARATOR, SIZES, TEMPLATES, TOPICS

HELDOUT_REQUESTS = 216  # a quarter of the 864: whole requests are held out, so no rewording of one is ever trained on


@dataclass(frozen=True)
class Request:
    """The four things that a prompt asks for."""

    size: str
    mood: str
    kind: str
    topic: str

    def prompt(self, template: int) -> Prompt:
        """The request in the words of one of the templates; size, mood and topic again, then the separator."""
        asked = TEMPLATES[template].format(size=self.size, mood=self.mood, kind=self.kind, topic=self.topic)
        name = f"lab-{self.size}-{self.mood}-{self.kind}-{self.topic}-{template}"
        return Prompt(name, f"{asked} {self.size} {self.mood} {self.topic} {SEPARATOR}")


@cache
def parse(text: object) -> Request:
    """The request that a prompt's text states, in whichever template. Raises UserError if it is not the lab's."""
    tokens = text.split() if isinstance(text, str) else []
    found = [next((w for w in tokens if w in choices), None) for choices in (SIZES, MOODS, KINDS, TOPICS)]
    if None in found:
        raise UserError(f"world=lab judges its own prompts alone (size, mood, kind and topic); it cannot read {text!r}")
    size, mood, kind, topic = (str(word) for word in found)
    return Request(size, mood, kind, topic)


@cache
def prompts(split: Split) -> tuple[Prompt, ...]:
    """All prompts of a split in a fixed, shuffled order: each request once before any is asked again in other words."""
    requests = [Request(*choice) for choice in product(SIZES, MOODS, KINDS, TOPICS)]
    random.Random(seed_of("lab", "split")).shuffle(requests)
    chosen: Iterable[Request] = requests[:HELDOUT_REQUESTS] if split == "heldout" else requests[HELDOUT_REQUESTS:]
    rounds = range(len(TEMPLATES))
    return tuple(r.prompt((i + shift) % len(TEMPLATES)) for shift in rounds for i, r in enumerate(chosen))
