"""The embedded world: a language of 345 words, prompts for a topic, mood, kind and size, and a judge that is a program.

Small enough for two CPU cores, and honest: the reward models fail in it for the reasons they fail at scale (few and
noisy labels, a spurious correlation, an optimiser that searches). The language is in `rlx/world/lab_language/`.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from rlx.core.numbers import Fraction, PositiveInt
from rlx.core.seed import seed_of
from rlx.core.world import AnyItem, Demonstration, Pair, Prompt, Split, Use
from rlx.world.lab_language import request
from rlx.world.lab_language.generator import respond
from rlx.world.lab_language.judge import LabJudge
from rlx.world.lab_language.pieces import GROUPS, pieces
from rlx.world.lab_language.preference import LabPreferences

LANGUAGE = 1  # one more whenever words, prompts, generator or judge change: artefacts made before are then made anew


@dataclass(frozen=True)
class Lab:
    """Demonstrations come from the generator; preference pairs from the SFT policy, labelled by the judge."""

    factor_groups: ClassVar[tuple[str, ...]] = GROUPS

    task: Literal["quality", "topic", "mood"]
    num_demonstrations: PositiveInt
    bad_share: Fraction
    good_share: Fraction
    spurious_strength: Fraction
    label_noise: Fraction
    preference_cycle: Fraction
    max_prompt_tokens: PositiveInt
    max_completion_tokens: PositiveInt

    def fingerprint(self) -> object:
        """The data's numbers and the language's version. The noise is put on the pairs later, the cycle is an oracle's
        that no artefact is made with, and the task is left out where it is the one that older artefacts were made for."""
        without = ("label_noise", "preference_cycle", *(["task"] if self.task == "quality" else []))
        numbers = {k: v for k, v in asdict(self).items() if k not in without}
        return {**numbers, "language": LANGUAGE}

    def check(self, data_seed: int) -> None:
        """Nothing can be wrong with it."""

    def prompts(self, split: Split, data_seed: int) -> list[Prompt]:
        """2,592 training prompts in the data seed's order; 864 held-out ones in one order for all data seeds, the first
        216 of which ask for different things."""
        prompts = list(request.prompts(split))
        if split == "train":
            random.Random(seed_of("lab prompts", data_seed)).shuffle(prompts)
        return prompts

    def demonstrations(self, data_seed: int) -> list[Demonstration]:
        """`num_demonstrations` responses to training prompts, each prompt once before any comes again; a smaller number
        is the beginning of a larger one."""
        prompts = self.prompts("train", data_seed)
        return [self._demonstration(prompts[i % len(prompts)], data_seed, i) for i in range(self.num_demonstrations)]

    def _demonstration(self, prompt: Prompt, data_seed: int, index: int) -> Demonstration:
        rng = random.Random(seed_of("lab demonstration", data_seed, index))
        return Demonstration(prompt, respond(rng, request.parse(prompt.text), self._shares(), self.spurious_strength))

    def _shares(self) -> tuple[float, float, float]:
        return self.bad_share, 1 - self.bad_share - self.good_share, self.good_share

    def pairs(self, data_seed: int) -> list[Pair] | None:
        """None: drawn from the SFT policy."""
        return None

    def to_train_on(self, whose: Use, fitting: Sequence[AnyItem]) -> Sequence[AnyItem]:
        """All: as many as were asked for were drawn."""
        return fitting

    def heldout_pairs(self, data_seed: int) -> list[Pair]:
        """None given: drawn from the SFT policy."""
        return []

    @property
    def gold(self) -> None:
        """None: gold is the judge."""
        return None

    def gold_pairs(self, data_seed: int) -> list[Pair] | None:
        """None: gold is the judge."""
        return None

    def judge(self) -> LabJudge:
        return LabJudge(self.task)

    def preference_model(self) -> LabPreferences:
        """Gold with a cycle in it, for optimizer=inpo optimizer.oracle=preference."""
        return LabPreferences(self.preference_cycle, self.judge())

    def factor_pieces(self, text: str) -> list[tuple[str, str]]:
        """Its words, by lexicon."""
        return pieces(text)

    def left_out(self) -> dict[str, int]:
        """Nothing is."""
        return {}
