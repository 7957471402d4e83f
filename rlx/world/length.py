"""What is too long for the models is left out and counted, never cut: counted in tokens, by whoever has a tokenizer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from rlx.core.world import Demonstration, Messages, Pair, Prompt
from rlx.process import processes

Item = TypeVar("Item", Prompt, Demonstration, Pair)
Text = TypeVar("Text", str, str | Messages)


@dataclass
class LengthLimit:
    """Keeps what fits. A world has no tokenizer, so the two counting functions come from the caller, for example

        LengthLimit(
            world.max_prompt_tokens, world.max_completion_tokens,
            lambda text: len(encode_prompt(tokenizer, text)), lambda text: len(encode_completion(tokenizer, text)),
        )

    The completion's count includes its end-of-sequence token. Each distinct text is counted once: of several processes, which
    must all ask for the same items, each counts a share.
    """

    max_prompt_tokens: int
    max_completion_tokens: int
    count_prompt: Callable[[str | Messages], int]
    count_completion: Callable[[str], int]
    _prompts: dict[str | Messages, bool] = field(default_factory=dict)
    _completions: dict[str, bool] = field(default_factory=dict)

    def prompts(self, items: Iterable[Prompt]) -> tuple[list[Prompt], dict[str, int]]:
        """(what fits, in its order; how many do not, by reason). The reasons are "<thing> over <n> tokens"."""
        return self._sift(items, "prompts", lambda prompt: (prompt, ()))

    def demonstrations(self, items: Iterable[Demonstration]) -> tuple[list[Demonstration], dict[str, int]]:
        """As `prompts`, for demonstrations whose prompt and completion fit."""
        return self._sift(items, "demonstrations", lambda d: (d.prompt, (d.completion,)))

    def pairs(self, items: Iterable[Pair]) -> tuple[list[Pair], dict[str, int]]:
        """As `prompts`, for pairs whose prompt and both completions fit: half a pair says nothing."""
        return self._sift(items, "pairs", lambda pair: (pair.prompt, (pair.chosen, pair.rejected)))

    def _sift(
        self, items: Iterable[Item], thing: str, texts: Callable[[Item], tuple[Prompt, tuple[str, ...]]]
    ) -> tuple[list[Item], dict[str, int]]:
        """`texts`: an item's prompt and its completions."""
        items = list(items)
        parts = [(prompt.text, completions) for prompt, completions in map(texts, items)]
        _judge(self._prompts, [prompt for prompt, _ in parts], self.count_prompt, self.max_prompt_tokens)
        wanted = [text for prompt, completions in parts if self._prompts[prompt] for text in completions]
        _judge(self._completions, wanted, self.count_completion, self.max_completion_tokens)
        kept = [
            item
            for item, (prompt, completions) in zip(items, parts, strict=True)
            if self._prompts[prompt] and all(self._completions[text] for text in completions)
        ]
        limit = f"{self.max_prompt_tokens}" + ("" if thing == "prompts" else f"+{self.max_completion_tokens}")
        return kept, {f"{thing} over {limit} tokens": len(items) - len(kept)} if len(kept) < len(items) else {}


def _judge(known: dict[Text, bool], texts: Iterable[Text], count: Callable[[Text], int], most: int) -> None:
    """Note in `known` which of `texts` have at most `most` tokens."""
    new = [text for text in dict.fromkeys(texts) if text not in known]
    own = [count(text) <= most for text in new[processes.share(len(new))]]
    known.update(zip(new, processes.concatenated(own), strict=True))
