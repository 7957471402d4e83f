"""A Python function of the user as the reward: texts in, scores out. rlx asks whether its gain is a gain in gold."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.numbers import Positive, PositiveInt
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.model.tokens import decode_completion, encode_prompt
from rlx.reward._ensemble import only, unpadded
from rlx.reward._function_process import FunctionProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Function:
    """R = (f - mean) / std, with the mean and the standard deviation of f's scores on the reference set. No model."""

    title: ClassVar[str] = "a Python function"
    has_members: ClassVar[bool] = False
    scores_each_member: ClassVar[bool] = False  # there are none
    code: ClassVar[str] = "path"  # the keyword that names code of the user

    path: str
    sha256: str | None
    batch_size: PositiveInt
    timeout: Positive  # s
    start_timeout: Positive  # s

    @property
    def members(self) -> tuple[()]:
        return ()

    def fingerprint(self) -> object:
        """What decides the scores: the file's content and the function's name, wherever the file lies."""
        return {"sha256": self.sha256, "name": self.path.rpartition(":")[2]}

    def process(self) -> FunctionProcess:
        """Start the function's process. Raises UserError where it cannot be called."""
        return FunctionProcess(self.path, self.sha256, self.timeout, self.start_timeout, self.batch_size)

    def try_on(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Call the function twice, the second time in the other order. Raises UserError where it gives no scores; warns
        where a text gets another score beside others, or the second time."""
        _try_on(self, tuple(prompts), tuple(completions))

    def scorer(self, sources: Sources) -> Scorer:
        """The function as a scorer, z-normalised on the same reference set as reward models are."""
        process, tokenizer = self.process(), sources.tokenizer()
        prompts, completions = sources.reference_set()
        shown = [shown_prompt(tokenizer, encode_prompt(tokenizer, prompt.text)) for prompt in prompts]
        scores = torch.tensor(process.scores(shown, [c.text for c in completions]), dtype=torch.float64)
        mean, std = float(scores.mean()), float(scores.std(correction=0))
        if not std > 0:
            raise UserError(
                f"reward.path={self.path}: it gives every reference completion the score {mean:g}; there is nothing to climb"
            )
        return _FunctionScorer(process, tokenizer, mean, std)


@cache  # a run looks twice, before and after it has a directory
def _try_on(function: Function, prompts: Sequence[str], completions: Sequence[str]) -> None:
    process = function.process()
    try:
        first = process.scores(prompts, completions)
        again = process.scores(prompts[::-1], completions[::-1])[::-1]
    finally:
        process.close()
    if first != again:
        log.warning(
            "reward.path: a text had another score at the second call, so a score depends on chance or on the texts "
            "beside it; such a run cannot be repeated to the bit"
        )


def shown_prompt(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of a prompt's ids as a function reads it: all turns of a chat, special tokens left out."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _FunctionScorer:
    def __init__(self, process: FunctionProcess, tokenizer: PreTrainedTokenizerBase, mean: float, std: float) -> None:
        self.process, self.tokenizer, self.mean, self.std = process, tokenizer, mean, std

    @property
    def raw_std(self) -> float:
        """Of the function's scores of the reference set, in the function's own unit."""
        return self.std

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        rows = unpadded(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT)
        prompts = [shown_prompt(self.tokenizer, prompt) for prompt, _ in rows]
        completions = [decode_completion(self.tokenizer, completion) for _, completion in rows]
        scores_B = torch.tensor(self.process.scores(prompts, completions), dtype=torch.float64)
        return ((scores_B - self.mean) / self.std).float()[None].to(ids_BT.device)

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        return only(member_scores_MB)
