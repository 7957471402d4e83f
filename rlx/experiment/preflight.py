"""What can be known to be wrong before anything is trained: folders, tokenizers, templates, lengths and counts."""

import logging
from collections.abc import Sequence
from itertools import islice

from rlx.core.error import UserError
from rlx.core.reward import TriedReward
from rlx.core.world import Prompt
from rlx.engine.prompts import fitting
from rlx.experiment.cell import Cell
from rlx.model.checkpoint import local_directory
from rlx.model.score_head import check_score_head
from rlx.model.tokens import render
from rlx.supervised.gold import judges_tokenizer

log = logging.getLogger(__name__)
SAMPLE = 64  # held-out prompts that are looked at


def check_cell(cell: Cell) -> None:
    """Raise UserError for a mistake that would else show after hours of training. Loads no weights."""
    cell.sampler.check()
    _check_prompts(cell)
    _check_context(cell)
    if isinstance(cell.reward, TriedReward):
        given = cell.world.demonstrations(cell.settings.data_seed)[:2]
        shown = _shown(cell, [demonstration.prompt for demonstration in given])
        cell.reward.try_on(shown, [demonstration.completion for demonstration in given])
    if cell.world.judge() is None and (gold := cell.world.gold) is not None:
        check_score_head(local_directory(gold, None, "world.gold"), f"world.gold={gold}")
        judges_tokenizer(gold, "world.gold")
    cell.model.reward_tokenizer()


def _check_context(cell: Cell) -> None:
    positions = getattr(cell.model.config().get_text_config(), "max_position_embeddings", None)
    prompt, new = cell.world.max_prompt_tokens, cell.sampler.max_new_tokens
    if positions is not None and prompt + new > positions:
        raise UserError(
            f"world.max_prompt_tokens={prompt} and {new} tokens of completion are more than the {positions} positions that the "
            "model knows: lower world.max_prompt_tokens or world.max_completion_tokens"
        )


def _shown(cell: Cell, prompts: Sequence[Prompt]) -> list[str]:
    tokenizer = cell.model.tokenizer()
    return [prompt.text if isinstance(prompt.text, str) else render(tokenizer, prompt.text) for prompt in prompts]


def _check_prompts(cell: Cell) -> None:
    tokenizer, prompts = cell.model.tokenizer(), cell.world.prompts("heldout", cell.settings.data_seed)
    different = {str(prompt.text): prompt for prompt in prompts}
    some = list(different.values())[:SAMPLE]
    shown = _shown(cell, some)
    if len(shown) > 1 and len(set(shown)) == 1:
        raise UserError(
            f"{len(shown)} different prompts all become {shown[0][:40]!r}: the chat template leaves out what they say; mend it, "
            "or set model.chat_template to a Jinja file"
        )
    numbers = cell.settings.evaluation
    asked = {"num_prompts": numbers.num_prompts, "final_num_prompts": numbers.final_num_prompts}
    # No more are encoded than are asked for: a split may hold many thousands.
    there = len(list(islice(fitting(tokenizer, prompts, cell.world.max_prompt_tokens), max(asked.values()))))
    for name, wanted in asked.items():
        if wanted > there:
            log.warning("evaluation.%s=%d: there are %d held-out prompts, and all are measured", name, wanted, there)
