"""Keys and tokens of other services: what must not stand in a run's files, which are kept, shown and handed on."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIABLES = (
    "WANDB_API_KEY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
)
LEAST = 8  # characters; a shorter value would be found in words
# As the services write them: Hugging Face, OpenAI and Anthropic, GitHub, AWS.
SHAPES = re.compile(r"\b(?:hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})\b")


def secrets_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, what it holds) for each string of a config that holds a secret, in its values or its names."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from secrets_in(str(name), f"{key}.{name}".lstrip("."))
            yield from secrets_in(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from secrets_in(item, f"{key}.{index}")
    elif isinstance(value, str):
        for variable, secret in _known():
            if secret in value:
                yield key, f"the value of {variable}"
        if found := SHAPES.search(value):
            yield key, f"what looks like a token ({found[0][:3]}...)"


def masked(value: Any) -> Any:
    """A copy of a config, or of a text, in which every secret is replaced by ***."""
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if isinstance(value, str):
        for _, secret in _known():
            value = value.replace(secret, "***")
        return SHAPES.sub("***", value)
    return value


def _known() -> list[tuple[str, str]]:
    values = [(name, os.environ.get(name, "")) for name in VARIABLES]
    return [(name, value) for name, value in values if len(value) >= LEAST]
