"""As several_runs, with completions that the lab's base model draws in float32, whatever the policy has learnt and however it
rounds: runs of different precision then learn from the same tokens, and their numbers can be compared."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import several_runs
import torch
from transformers import AutoModelForCausalLM

import rlx.model
from rlx.sampler.transformers import Transformers

BASE = Path(rlx.model.__path__[0]) / "lab_base"
own_draw = Transformers.draw


@cache
def base() -> Any:
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)


def draw(self: Transformers, policy: Any, *asked: Any) -> Any:
    model = base()
    for name in ("pad_token_id", "eos_token_id"):
        setattr(model.config, name, getattr(policy.config, name))
    with torch.autocast("cpu", enabled=False):
        return replace(own_draw(self, model, *asked), own=None)  # what the base says is not what the policy would


def work(listing: Path) -> None:
    base()  # now: while a policy is spread by ZeRO-3, transformers would take it apart as well
    Transformers.draw = draw
    several_runs.work(listing)
