"""Which kernel computes attention: transformers' own choice, or the one that `model.attn_implementation` names, for policies
and reward models alike."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from transformers import PreTrainedModel

from rlx.core.error import UserError, first_line

Attention = Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]
PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
_chosen: Attention | None = None  # of reward models, whose directories do not say what they are computed with


def use(name: Attention | None) -> None:
    """Set what reward models are loaded with from now on: what the run's policies have."""
    global _chosen
    _chosen = name


def chosen() -> Attention | None:
    """Return what `use` set."""
    return _chosen


@contextmanager
def kept() -> Iterator[None]:
    """Put back at the end what `use` had set: other cells may be made inside."""
    before = _chosen
    try:
        yield
    finally:
        use(before)


def asked(name: Attention | None) -> dict[str, str]:
    """Return what from_pretrained must be told."""
    return {} if name is None else {"attn_implementation": name}


@contextmanager
def had(name: Attention | None) -> Iterator[None]:
    """Raise UserError where a model is loaded inside that cannot have `name`."""
    package = PACKAGES.get(name or "")
    if package is not None and importlib.util.find_spec(package) is None:
        # transformers would fetch a kernel from the Hub
        raise UserError(_line(name, f"the package {package} is not installed"))
    try:
        yield
    except (ImportError, ValueError, NotImplementedError) as error:
        if name is None or not any(word in str(error).lower() for word in ("attention", name)):
            raise
        raise UserError(_line(name, first_line(error))) from error


def check(model: PreTrainedModel, name: Attention | None) -> None:
    """Raise UserError where transformers has put another in the place of `name`."""
    if name is not None and (found := model.config._attn_implementation) != name:
        raise UserError(_line(name, f"transformers takes {found} for {type(model).__name__}"))


def _line(name: str | None, reason: str) -> str:
    return f"model.attn_implementation={name}: {reason}; choose another, or null for what transformers chooses"
