"""Prompt and completion as the reward trunk's token ids: the very ids that the scorer sees during policy training."""

from collections.abc import Iterable, Sequence

from transformers import PreTrainedTokenizerBase

from rlx.core.world import Completion, Prompt
from rlx.model.recipe import Model
from rlx.model.tokens import check_templates, encode_completion, encode_prompt, translate_completion, translate_prompt


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
        prompt_ids = encode_prompt(self.policy_tokenizer, prompt.text)
        completion_ids = encode_completion(self.policy_tokenizer, completion.text, completion.ended)
        if self.shared:
            return prompt_ids + completion_ids
        return translate_prompt(prompt_ids, self.policy_tokenizer, self.tokenizer) + translate_completion(
            completion_ids, self.policy_tokenizer, self.tokenizer
        )

    def rows(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[list[int]]:
        return [self.row(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
