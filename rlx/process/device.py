"""This process's GPU, if it sees one (compute=cpu sees none): where models that do not learn are asked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def see_one() -> None:
    """Of several GPUs, only the first from now on; to be called before CUDA is first used. A process alone that saw more
    would be given torch's DataParallel by transformers' Trainer, which splits batches in ways of its own."""
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Puts torch's global random states back: the CPU's and that of this process's GPU. Unless it is told which, torch goes
    through all GPUs that it sees, those of other processes too, and warns that it does."""
    own = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(own):
        yield
