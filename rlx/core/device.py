"""Where models that do not learn are asked: on this process's GPU, if it sees one (compute=cpu sees none)."""

from typing import Any, TypeVar

import torch

T = TypeVar("T")


def on_device(model: T) -> T:
    """`model` itself, a module or a scorer, moved to the GPU where there is one; what cannot be moved, a user's scorer that
    asks a service, stays where it is."""
    if torch.cuda.is_available() and hasattr(model, "to"):
        movable: Any = model
        movable.to("cuda")
    return model
