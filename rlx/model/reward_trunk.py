"""The trunk of a reward model: a checkpoint as a sequence classifier with one label and a score head of zeros."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.model import attention
from rlx.model.attention import Attention
from rlx.model.checkpoint import loading
from rlx.model.readable import NOT_WHOLE, named

log = logging.getLogger(__name__)
HEAD = "score.weight"


def load_trunk(
    directory: Path, dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase, kernel: Attention | None
) -> PreTrainedModel:
    """Return it with the special tokens of `tokenizer`, its attention computed by `kernel`. Raises UserError where the
    architecture has no score head or no such kernel, or where weights are missing."""
    told: dict[str, Any] = {"num_labels": 1, "dtype": dtype, "ignore_mismatched_sizes": True, **attention.asked(kernel)}
    shown = f"model.path={directory}"
    with named(shown, NOT_WHOLE), loading(), attention.had(kernel):
        model, info = AutoModelForSequenceClassification.from_pretrained(directory, output_loading_info=True, **told)
    attention.check(model, kernel)
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        raise UserError(f"model.path={directory}: {type(model).__name__} has no `score` head; use a decoder-only model")
    if lost := sorted(map(str, set(info["missing_keys"]) - {HEAD})):
        raise UserError(f"model.path={directory}: {lost[0]} is not in the checkpoint")
    torch.nn.init.zeros_(head.weight)
    return fitted(model, tokenizer)


def fitted(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Return `model` with the tokenizer's special tokens and an embedding for every token."""
    rows = len(model.get_input_embeddings().weight)  # pyright: ignore[reportArgumentType]
    if (size := len(tokenizer)) > rows:
        log.info(
            "%s: embeddings grow from %d to %d rows, the new ones the mean of the old", model.name_or_path, rows, size
        )
        model.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
                if layer is not None:
                    layer.weight[rows:] = layer.weight[:rows].float().mean(0).to(layer.weight.dtype)  # pyright: ignore
    for config in (model.config, getattr(model, "generation_config", None)):
        if config is not None:
            config.pad_token_id, config.eos_token_id, config.bos_token_id = (
                tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)  # fmt: skip
    return model
