"""The gold judge itself as the reward: the control. Where this climbs and a proxy falls, the fall is the proxy's fault."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.core.world import Completion, Judge, Prompt
from rlx.model.tokens import decode_completion, spell_prompt


@dataclass(frozen=True)
class Gold:
    """No experiment's result: nothing optimises against gold outside a control."""

    title: ClassVar[str] = "the gold judge itself"
    has_members: ClassVar[bool] = False
    scores_each_member: ClassVar[bool] = False  # there are none

    @property
    def members(self) -> tuple[()]:
        return ()

    def scorer(self, sources: Sources) -> Scorer:
        """The judge as a scorer, z-normalised on the same reference set as reward models are."""
        judge = sources.judge()
        scores = torch.tensor(judge.score(*sources.reference_set()), dtype=torch.float64)
        mean, std = float(scores.mean()), float(scores.std(correction=0))
        if not std > 0:
            raise UserError(
                "reward=gold: the judge gives every reference completion one score; there is nothing to climb"
            )
        return _GoldScorer(judge, sources.tokenizer(), mean, std)


class _GoldScorer:
    def __init__(self, judge: Judge, tokenizer: PreTrainedTokenizerBase, mean: float, std: float) -> None:
        self.judge, self.tokenizer, self.mean, self.std = judge, tokenizer, mean, std

    @property
    def raw_std(self) -> float:
        """Of the judge's scores of the reference set, in the judge's own unit."""
        return self.std

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        prompts = [
            Prompt("", spell_prompt(self.tokenizer, row[mask].tolist()))
            for row, mask in zip(prompt_ids_BP, prompt_mask_BP.bool(), strict=True)
        ]
        rows = [row[mask].tolist() for row, mask in zip(ids_BT, mask_BT.bool(), strict=True)]
        eos = self.tokenizer.eos_token_id
        completions = [Completion(decode_completion(self.tokenizer, row), row[-1] == eos) for row in rows]
        return (torch.tensor(self.judge.score(prompts, completions))[None] - self.mean) / self.std

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        return member_scores_MB[0]
