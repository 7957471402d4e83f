"""What the start policy writes on held-out prompts, drawn once: every run from that policy measures itself against it."""

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from rlx.artefact.store import Store
from rlx.core.jsonl import read_rows
from rlx.core.sampler import Sampler
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Split
from rlx.engine.experience import completions_of, draw
from rlx.engine.held_out import StartText
from rlx.engine.prompts import encode
from rlx.model.actor_critic import with_critic
from rlx.model.precision import beside_masters
from rlx.process import processes
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.supervised.sft import SFTPolicy

PROMPTS_AT_A_TIME = 2048


@dataclass(frozen=True)
class StartCompletions:
    """completions.jsonl: {"prompt_id", "completion", "ended", "length"}, one for each of the first `num_prompts` prompts of
    the split that are short enough. `length` counts tokens, the end of sequence included.

    A completion follows from its prompt's own seed, as in every held-out measurement (`rlx.engine.held_out`). What gold says
    of it is left to the run, whose judge may be another.
    """

    VERSION: ClassVar[int] = 1

    policy: SFTPolicy
    sampler: Sampler
    split: Split
    num_prompts: int
    masters: bool  # computed as float32 masters are under autocast, which a policy of bfloat16 begins with

    def build(self, directory: Path, store: Store, seed: int) -> None:
        world, model = self.policy.world, self.policy.model
        tokenizer = model.tokenizer()
        policy = model.policy(store.fetch(self.policy, seed)).requires_grad_(False).eval()
        if self.masters:
            beside_masters(policy)
        policy = on_device(with_critic(policy, "none"))
        found = encode(tokenizer, world.prompts(self.split, seed), world.max_prompt_tokens)
        num = min(self.num_prompts, len(found.prompts))
        precision = torch.autocast(policy.device.type, torch.bfloat16) if self.masters else nullcontext()
        with (
            stage("start completions", num) as bar,
            precision,
            (directory / "completions.jsonl").open("w", encoding="utf-8") as file,
        ):
            for first in range(0, num, PROMPTS_AT_A_TIME):
                prompts, ids_NP, mask_NP = found.batch(range(first, min(first + PROMPTS_AT_A_TIME, num)))
                mine = processes.share(len(prompts))
                seeds = [seed_of("held out", prompt.id) for prompt in prompts[mine]]
                drawn = draw(policy, self.sampler, prompts[mine], ids_NP[mine], mask_NP[mine], seeds)
                texts = processes.concatenated([own[0] for own in completions_of(drawn, tokenizer)])
                lengths = processes.concatenated(drawn.mask_NGT.sum(-1).flatten().tolist())
                for prompt, text, length in zip(prompts, texts, lengths, strict=True):
                    row = {"prompt_id": prompt.id, "completion": text.text, "ended": text.ended, "length": length}
                    file.write(json.dumps(row) + "\n")
                bar.advance(len(prompts))


def read_start_completions(directory: Path) -> list[StartText]:
    """What `StartCompletions` drew, in the order of the prompts."""
    rows = read_rows(directory / "completions.jsonl")
    return [StartText(r["prompt_id"], Completion(r["completion"], r["ended"]), r["length"]) for r in rows]
