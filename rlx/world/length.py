"""What is too long for the models is left out and counted, never cut: counted in tokens, by whoever has a tokenizer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from rlx.core.world import Demonstration, Messages, Pair, Prompt

Item = TypeVar("Item", Prompt, Demonstration, Pair)


@dataclass
class LengthLimit:
    """Keeps what fits. A world has no tokenizer, so the two counting functions come from the caller, for example

        LengthLimit(
            world.max_prompt_tokens, world.max_completion_tokens,
            lambda text: len(encode_prompt(tokenizer, text)), lambda text: len(encode_completion(tokenizer, text)),
        )

    The completion's count includes its end-of-sequence token. Each distinct text is counted once.
    """

    max_prompt_tokens: int
    max_completion_tokens: int
    count_prompt: Callable[[str | Messages], int]
    count_completion: Callable[[str], int]
    _prompts: dict[str | Messages, bool] = field(default_factory=dict)
    _completions: dict[str, bool] = field(default_factory=dict)

    def prompts(self, items: Iterable[Prompt]) -> tuple[list[Prompt], dict[str, int]]:
        """(what fits, in its order; how many do not, by reason). The reasons are "<thing> over <n> tokens"."""
        return self._sift(items, "prompts", self._fits_prompt)

    def demonstrations(self, items: Iterable[Demonstration]) -> tuple[list[Demonstration], dict[str, int]]:
        """As `prompts`, for demonstrations whose prompt and completion fit."""
        return self._sift(items, "demonstrations", lambda d: self._fits_prompt(d.prompt) and self._fits(d.completion))

    def pairs(self, items: Iterable[Pair]) -> tuple[list[Pair], dict[str, int]]:
        """As `prompts`, for pairs whose prompt and both completions fit: half a pair says nothing."""
        return self._sift(items, "pairs", self._fits_pair)

    def _sift(
        self, items: Iterable[Item], thing: str, fits: Callable[[Item], bool]
    ) -> tuple[list[Item], dict[str, int]]:
        items = list(items)
        kept = [item for item in items if fits(item)]
        limit = f"{self.max_prompt_tokens}" + ("" if thing == "prompts" else f"+{self.max_completion_tokens}")
        return kept, {f"{thing} over {limit} tokens": len(items) - len(kept)} if len(kept) < len(items) else {}

    def _fits_pair(self, pair: Pair) -> bool:
        return self._fits_prompt(pair.prompt) and self._fits(pair.chosen) and self._fits(pair.rejected)

    def _fits_prompt(self, prompt: Prompt) -> bool:
        if prompt.text not in self._prompts:
            self._prompts[prompt.text] = self.count_prompt(prompt.text) <= self.max_prompt_tokens
        return self._prompts[prompt.text]

    def _fits(self, completion: str) -> bool:
        if completion not in self._completions:
            self._completions[completion] = self.count_completion(completion) <= self.max_completion_tokens
        return self._completions[completion]
