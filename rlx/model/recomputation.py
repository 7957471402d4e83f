"""Activations that are computed again in the backward pass in place of being kept."""

from transformers import TrainingArguments


def checkpointing(on: bool) -> dict[str, bool | None]:
    """What transformers.TrainingArguments and TRL's configs must be told. Newer transformers have a new name for it; TRL's configs
    turn it on unless the old one says no. Releases of vLLM need a transformers that knows the old one only."""
    if "activation_checkpointing" in TrainingArguments.__dataclass_fields__:
        return {"gradient_checkpointing": None, "activation_checkpointing": on}
    return {"gradient_checkpointing": on}
