"""The world's length limits, counted by the policy's tokenizer: what is longer is left out and counted, never cut."""

import logging
from collections.abc import Mapping

from transformers import PreTrainedTokenizerBase

from rlx.core.world import World
from rlx.model.tokens import encode_completion, encode_prompt
from rlx.world.length import LengthLimit

log = logging.getLogger(__name__)


def length_limit(world: World, tokenizer: PreTrainedTokenizerBase) -> LengthLimit:
    """Completions are counted with their end-of-sequence token."""
    return LengthLimit(
        world.max_prompt_tokens,
        world.max_completion_tokens,
        lambda text: len(encode_prompt(tokenizer, text)),
        lambda text: len(encode_completion(tokenizer, text)),
    )


def say_left_out(what: str, left_out: Mapping[str, int]) -> None:
    """Warn of what `what` had to do without."""
    for reason, count in left_out.items():
        log.warning("%s: left out %d %s", what, count, reason)
