"""What can be known to be wrong before anything is trained: folders, tokenizers, templates, lengths and counts."""

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from transformers import AutoModelForCausalLM

from rlx.compute.launcher import check_place
from rlx.core.error import UserError
from rlx.core.reward import TriedReward
from rlx.core.world import Prompt
from rlx.engine.prompts import fitting
from rlx.experiment.cell import Cell, cell_of
from rlx.model.checkpoint import local_directory
from rlx.model.readable import check_files
from rlx.model.score_head import check_score_head
from rlx.model.tokens import check_completion, render
from rlx.process import outer
from rlx.supervised.gold import judges_tokenizer

log = logging.getLogger(__name__)
SAMPLE = 64  # held-out prompts that are looked at


def check_run(config: Mapping[str, Any]) -> None:
    """Raise UserError, as `check_cell` does, for the cell that a checked `config` describes, and where this machine has no
    place for its processes. Writes nothing."""
    cell: Any = cell_of(config)
    if cell.compute.num_processes > 1 and not outer.launched():
        check_place(cell.compute)
    check_cell(cell)


def check_cell(cell: Cell) -> None:
    """Raise UserError for a mistake that would else show after hours of training. Loads no weights."""
    cell.sampler.check()
    cell.model.config()  # before the tokenizer, which reads it and takes its faults for its own
    _check_prompts(cell)
    _check_completions(cell)
    _check_context(cell)
    _check_weights(cell)
    if cell.world.judge() is None and (gold := cell.world.gold) is not None:
        check_score_head(local_directory(gold, None, "world.gold"), f"world.gold={gold}")
        judges_tokenizer(gold, "world.gold")
    cell.model.reward_tokenizer()
    if isinstance(cell.reward, TriedReward):
        given = cell.world.demonstrations(cell.settings.data_seed)[:2]
        shown = _shown(cell, [demonstration.prompt for demonstration in given])
        cell.reward.try_on(shown, [demonstration.completion for demonstration in given])


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


def _check_completions(cell: Cell) -> None:
    """Of a world that gives pairs of its own."""
    tokenizer, seed, world = cell.model.tokenizer(), cell.settings.data_seed, cell.world
    if (pairs := world.pairs(seed)) is None:
        return
    for pair in (*pairs, *world.heldout_pairs(seed), *(world.gold_pairs(seed) or ())):
        for text in (pair.chosen, pair.rejected):
            check_completion(tokenizer, text, f"a pair on prompt {str(pair.prompt.text)[:40]!r}")


def _check_weights(cell: Cell) -> None:
    """Their files alone, and the ids that the model must know; the lab's models come with rlx."""
    model: Any = cell.model
    for key in ("path", "reward_path"):
        if (name := getattr(model, key, None)) is not None:
            directory = local_directory(name, getattr(model, key.replace("path", "revision")), f"model.{key}")
            check_files(directory, f"model.{key}={name}")
    tokenizer, config = model.tokenizer(), model.config()
    known = getattr(config.get_text_config(), "vocab_size", None)
    ended = tokenizer.eos_token_id
    if getattr(model, "path", None) is not None and known is not None and ended >= known:
        raise UserError(
            f"model.path={model.path}: its tokenizer's end-of-sequence token {tokenizer.eos_token!r} has the number {ended}, "
            f"and the model knows {known} tokens; save both together"
        )
    if getattr(model, "path", None) is not None and type(config) not in AutoModelForCausalLM._model_mapping:
        raise UserError(
            f"model.path={model.path}: {type(config).__name__} describes no causal language model; take another model"
        )


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
