"""The lab's preference model: gold, and a cycle of three manners of speaking that no score can describe.

Thanks beat hope, hope beats welcome, welcome beats thanks. Gold does not tell the three apart, so that what an optimiser
makes of them is the cycle's work alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from rlx.core.world import Completion, Prompt
from rlx.world.lab_language.judge import LabJudge

GOLD = LabJudge()
# Each beats the next one, and the last the first.
STYLES = (("thank", "you", "kindly"), ("i", "hope", "this", "helps"), ("you", "are", "most", "welcome"))


def preference(gold_gap: float, first: int | None, second: int | None, cycle: float) -> float:
    """P(first beats second) = (1 - cycle) sigmoid(gold_gap) + cycle c(first, second): c is 1 where the first style beats
    the second, 0 where it loses, and 1/2 between equals and where a text has no style."""
    return (1 - cycle) / (1 + exp(-gold_gap)) + cycle * beats(first, second)


def beats(first: int | None, second: int | None) -> float:
    """The cycle alone: 1, 0 or 1/2."""
    if first is None or second is None or first == second:
        return 0.5
    return float((second - first) % len(STYLES) == 1)


def style(text: str) -> int | None:
    """The place in STYLES of the polite phrase that comes first, as a sentence of its own; None without any."""
    sentences = [tuple(sentence.split()) for sentence in text.split(".")]
    return next((STYLES.index(sentence) for sentence in sentences if sentence in STYLES), None)


@dataclass(frozen=True)
class LabPreferences:
    """rlx.core.world.PreferenceModel by program. `cycle`: how much of a preference is the cycle's, in [0, 1]. `judge`:
    whose score the rest follows."""

    cycle: float
    judge: LabJudge = GOLD

    def probabilities(self, prompt: Prompt, completions: Sequence[Completion]) -> list[list[float]]:
        """P(i beats j), (G, G). Raises UserError for a prompt that is not the lab's."""
        golds = self.judge.score([prompt] * len(completions), completions)
        texts = [(gold, style(completion.text)) for gold, completion in zip(golds, completions, strict=True)]
        return [[preference(a - b, i, j, self.cycle) for b, j in texts] for a, i in texts]
