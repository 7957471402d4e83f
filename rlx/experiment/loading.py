"""A policy from a directory that no recipe of this run made: loaded frozen, its tokens those of the run."""

import logging
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.model.actor_critic import with_critic
from rlx.model.output_head import says_its_logits
from rlx.model.recipe import Model
from rlx.process.device import on_device

log = logging.getLogger(__name__)


def load_policy(recipe: Model, directory: Path, key: str) -> PreTrainedModel:
    """Return the frozen policy saved in `directory`, on the device. Raises UserError, naming `key`, where rlx would not know
    its log-probabilities."""
    model = recipe.policy(directory)
    if not says_its_logits(model):
        raise UserError(
            f"{key}={directory}: {type(model).__name__} scales or bends its logits outside its output head in a way that rlx "
            "does not know, so log-probabilities would be wrong; use a model of another architecture"
        )
    return on_device(with_critic(model.requires_grad_(False).eval(), "none"))


def check_tokens(key: str, directory: Path, shared: PreTrainedTokenizerBase) -> None:
    """Raises UserError unless the tokenizer in `directory` gives every token of `shared` the same id. A directory without a
    tokenizer is taken to use the shared one, with a warning."""
    if not any((directory / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        log.warning("%s=%s has no tokenizer; its token ids are read as those of model.path", key, directory)
        return
    own = AutoTokenizer.from_pretrained(directory)
    ids, expected = own.get_vocab(), shared.get_vocab()
    # A padding token that rlx had to add is in one vocabulary alone.
    either = sorted((ids.keys() | expected.keys()) - {str(shared.pad_token), str(own.pad_token)})
    if (token := next((token for token in either if ids.get(token) != expected.get(token)), None)) is not None:
        raise UserError(
            f"{key}={directory}: token {token!r} has id {ids.get(token)} there and {expected.get(token)} in the tokenizer of "
            "model.path; a divergence needs policies with the same tokens"
        )
    if own.chat_template != shared.chat_template:
        log.warning("%s=%s has another chat template; prompts are written by that of model.path", key, directory)
