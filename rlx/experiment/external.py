"""A policy that was trained elsewhere, with the policy that it was trained from, set up to be measured as a run's own is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rlx.artefact.store import Recipe
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.core.world import Completion, Prompt
from rlx.engine.experience import RolloutModels
from rlx.engine.held_out import HeldOut
from rlx.engine.proxy import Proxy
from rlx.experiment.assembly import prompts_of, singles
from rlx.experiment.cell import Cell
from rlx.experiment.loading import check_tokens, load_policy
from rlx.experiment.on_pairs import check_pairs, judge_rows
from rlx.model.checkpoint import local_directory
from rlx.process.device import on_device
from rlx.supervised.reference_set import read_reference_set


@dataclass(frozen=True)
class External:
    policy: PreTrainedModel
    held_out: HeldOut
    artefacts: dict[str, str]  # name -> address of what had to be made to measure, e.g. a gold reward model
    judges: list[
        dict[str, Any]
    ]  # how good gold, its trivial baselines and the reward models are on pairs, as in members.json


class NoProxy:
    """Zero for every completion, where no reward model is asked for: a proxy of gold itself would have to be normalised on
    completions of a fine-tuned policy that nobody asked for either."""

    raw_std = 1.0

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return torch.zeros(1, len(ids_BT))

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        return member_scores_MB[0]


def external(cell: Cell, policy_name: str, start_name: str) -> External:
    """Load both policies (local directories or Hub ids). The start is the reference of every divergence as well.

    Raises UserError where one is no causal language model in safetensors, or where the two do not share their tokens.
    """
    policy_dir = local_directory(policy_name, None, "--policy")
    start_dir = local_directory(start_name, None, "--start")
    tokenizer = cell.model.tokenizer()
    for key, directory in (("--policy", policy_dir), ("--start", start_dir)):
        check_tokens(key, directory, tokenizer)
    start = load_policy(cell.model, start_dir, "--start")
    policy = load_policy(cell.model, policy_dir, "--policy")
    gold, seed = cell.gold(), cell.settings.data_seed
    recipes: dict[str, Recipe] = {"gold reward model": gold} if gold else {}
    recipes |= {f"reward model {member.index}": member for member in cell.members()}
    paths = {name: cell.store.fetch(recipe, seed) for name, recipe in (recipes | cell.on_pairs()).items()}
    check_pairs(cell.world, paths)
    judge = cell.judge()
    members = [paths[f"reward model {member.index}"] for member in cell.members()]

    def reference_set() -> tuple[Sequence[Prompt], Sequence[Completion]]:
        return read_reference_set(cell.store.fetch(cell.reference_set(), seed))

    scorer: Scorer = NoProxy()
    if members:
        sources = Sources(members, lambda: judge, lambda: tokenizer, reference_set, cell.compute.rows)
        scorer = on_device(cell.reward.scorer(sources))
    proxy = Proxy(scorer, cell.settings.proxy)
    actors = RolloutModels(start, proxy, cell.sampler, cell.compute.rows, tokenizer, None)
    prompts = prompts_of(cell, "heldout", {})
    held_out = HeldOut(prompts, actors, start, judge, singles(scorer, members, cell.compute.rows))
    artefacts = {name: path.name for name, path in paths.items()}
    return External(policy, held_out, artefacts, judge_rows(members, paths, cell.given_gold()))
