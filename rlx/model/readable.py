"""Files of a model that somebody else made: what transformers says of broken ones, in one line that names the setting."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from jinja2 import TemplateError
from safetensors import SafetensorError, safe_open
from torch.nn import Module

from rlx.core.error import UserError, first_line
from rlx.core.model_folder import weight_files

# What transformers, tokenizers, safetensors and jinja raise about files that they cannot use.
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, ImportError, SafetensorError,
          TemplateError, json.JSONDecodeError, ArithmeticError, StrictDataclassError)  # fmt: skip

NOT_WHOLE = "it is no whole model that transformers knows; save it again, or take another"


@contextmanager
def named(shown: str, advice: str) -> Iterator[None]:
    """While files that the setting `shown` names are read: an error of whoever reads them becomes a UserError in one line
    that ends with `advice`. Memory that ends stays what it is."""
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except BROKEN as error:
        raise UserError(f"{shown}: cannot be read ({first_line(error)[:200]}); {advice}") from error
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers library raises this very class
            raise
        raise UserError(f"{shown}: cannot be read ({first_line(error)[:200]}); {advice}") from error


def check_files(directory: Path, shown: str) -> None:
    """Raise UserError where a file with weights in `directory` is missing, cut off or no safetensors. Reads no weights."""
    for path in weight_files(directory):
        with named(f"{shown}: {path.name}", NOT_WHOLE), safe_open(path, framework="pt"):
            pass


def check_finite(model: Module, shown: str) -> None:
    """Raise UserError where a weight of `model` is NaN or infinite."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise UserError(f"{shown}: {name} has values that are not finite; take another checkpoint")
