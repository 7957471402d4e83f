"""Common completions of SFT policy 0, to put members on one scale.

Each member's scores are measured in its own mean and spread over them, so that a minimum or a variance over members
means something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.jsonl import read_rows, write_rows
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Prompt
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.sampler.transformers import Transformers
from rlx.supervised.drawing import draw
from rlx.supervised.limit import length_limit
from rlx.supervised.pairs import prompt_of
from rlx.supervised.sft import SFTPolicy


@dataclass(frozen=True)
class ReferenceSet:
    """reference.jsonl: {"prompt_id", "prompt", "completion", "ended"} on training prompts."""

    VERSION: ClassVar[int] = 1

    policy: SFTPolicy
    num_completions: int
    temperature: float
    sampling_batch_size: int

    def build(self, directory: Path, store: Store, seed: int) -> None:
        world, model = self.policy.world, self.policy.model
        tokenizer = model.tokenizer()
        prompts, left_out = length_limit(world, tokenizer).prompts(world.prompts("train", seed))
        if not prompts:
            raise UserError(f"no training prompt is short enough ({left_out}); raise world.max_prompt_tokens")
        generator = torch.Generator().manual_seed(seed_of("reference set", seed))
        order = torch.randperm(len(prompts), generator=generator).tolist()
        # More completions than prompts: the prompts come round again, each time with other seeds.
        chosen = [prompts[order[i % len(order)]] for i in range(self.num_completions)]
        seeds = [seed_of("reference set", seed, prompt.id, i // len(order)) for i, prompt in enumerate(chosen)]
        policy = on_device(model.policy(store.fetch(self.policy, seed)).eval())
        sampler = Transformers(world.max_completion_tokens, self.temperature, self.sampling_batch_size)
        with stage("reference set for normalisation", len(chosen)) as bar:
            completions = draw(policy, tokenizer, chosen, seeds, sampler, bar)
        rows = (
            {"prompt_id": p.id, "prompt": p.text, "completion": c.text, "ended": c.ended}
            for p, c in zip(chosen, completions, strict=True)
        )
        write_rows(directory / "reference.jsonl", rows)


def read_reference_set(directory: Path) -> tuple[Sequence[Prompt], Sequence[Completion]]:
    """Prompts and completions of equal number."""
    rows = read_rows(directory / "reference.jsonl")
    return [prompt_of(r["prompt_id"], r["prompt"]) for r in rows], [
        Completion(r["completion"], r["ended"]) for r in rows
    ]
