"""Prompt and completion as the reward trunk's token ids: the very ids that the scorer sees during policy training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from rlx.core.world import Completion, Prompt
from rlx.model.recipe import Model
from rlx.model.tokens import (
    check_templates,
    encode_completions,
    encode_prompts,
    translate_completion,
    translate_prompt,
)
from rlx.process import processes
from rlx.supervised.pairs import Preference


@dataclass(frozen=True)
class PairRows:
    """Pairs with the ids of prompt + completion of both their sides."""

    pairs: Sequence[Preference]
    chosen: list[list[int]]
    rejected: list[list[int]]

    def at(self, places: Sequence[int]) -> "PairRows":
        """The pairs at `places`."""
        return PairRows(
            [self.pairs[i] for i in places], [self.chosen[i] for i in places], [self.rejected[i] for i in places]
        )


class RewardRows:
    """Where policy and reward trunk share a tokenizer, ids are the policy's. Where not, they take the scorer's way: the
    policy's ids, the text that they spell, the reward trunk's ids."""

    def __init__(self, model: Model, prompts: Iterable[Prompt]) -> None:
        self.policy_tokenizer: PreTrainedTokenizerBase = model.tokenizer()
        self.tokenizer: PreTrainedTokenizerBase = model.reward_tokenizer()
        self.shared = model.shares_tokenizer()
        if not self.shared:
            check_templates(self.policy_tokenizer, self.tokenizer, prompts)

    def row(self, prompt: Prompt, completion: Completion) -> list[int]:
        """Ids of prompt + completion, EOS last if the completion ended."""
        return self.rows([prompt], [completion])[0]

    def rows(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[list[int]]:
        """As `row` for each prompt with its completion. Each distinct prompt is tokenised once."""
        texts = list(dict.fromkeys(prompt.text for prompt in prompts))
        prompt_ids = dict(zip(texts, encode_prompts(self.policy_tokenizer, texts), strict=True))
        completion_ids = encode_completions(self.policy_tokenizer, completions)
        if not self.shared:
            source, target = self.policy_tokenizer, self.tokenizer
            prompt_ids = {text: translate_prompt(ids, source, target) for text, ids in prompt_ids.items()}
            completion_ids = [translate_completion(ids, source, target) for ids in completion_ids]
        return [prompt_ids[p.text] + ids for p, ids in zip(prompts, completion_ids, strict=True)]

    def of_pairs(self, pairs: Sequence[Preference]) -> PairRows:
        """Both sides of all `pairs`. Several processes tokenise a share each, and all get the whole: they must all call this."""
        mine = pairs[processes.share(len(pairs))]
        prompts = [pair.prompt for pair in mine for _ in range(2)]
        own = self.rows(prompts, [completion for pair in mine for completion in (pair.chosen, pair.rejected)])
        rows = processes.concatenated(own)
        return PairRows(pairs, rows[::2], rows[1::2])
