"""From artefacts on disk to the models that a rollout and a measurement need."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.core.placement import placement
from rlx.core.reward import Sources
from rlx.core.scorer import MemberScorer, Scorer
from rlx.core.world import PreferenceModel, Split
from rlx.engine.experience import RolloutModels
from rlx.engine.held_out import HeldOut
from rlx.engine.prompts import EncodedPrompts, encode
from rlx.engine.proxy import Proxy
from rlx.experiment.cell import Cell
from rlx.model.actor_critic import with_critic
from rlx.model.bare import without_adapters
from rlx.model.base_address import is_adapter
from rlx.model.lent_weights import lend
from rlx.model.precision import beside_masters
from rlx.process import processes
from rlx.process.device import on_device
from rlx.reward._ensemble import Ensemble, load_member, single_model
from rlx.supervised.reference_set import read_reference_set
from rlx.supervised.start_completions import read_start_completions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assembly:
    """`counts`: what was left out on the way, by reason."""

    actors: RolloutModels
    held_out: HeldOut
    start: Path  # the SFT policy that training starts from
    counts: dict[str, int] = field(default_factory=dict)


def assemble(cell: Cell, paths: Mapping[str, Path], policy: PreTrainedModel | None = None) -> Assembly:
    """Combine the members into the proxy and the policies into the reference; `paths` are those of cell.recipes(); a
    measurement after training needs those of the models alone. Where `policy`, which is to learn, has adapters, the start
    is what it is without them."""
    policies = [paths[f"SFT policy {policy.index}"] for policy in cell.policies()]
    if isinstance(policy, PeftModel) and not cell.compute.spreads_weights:
        freed = lend(on_device(policy), policies[0])  # before gold and members are loaded
        log.info("the policy lends its frozen weights, %.2f GB of them to its critic", freed / 1e9)
    members = [paths[f"reward model {member.index}"] for member in cell.members()]
    judge = cell.judge()
    adapters = any(map(is_adapter, members))
    placed = placement(cell.compute.place_members, len(members), processes.size(), adapters)
    given = Sources(
        members,
        lambda: judge,
        cell.model.tokenizer,
        lambda: read_reference_set(paths["reference set"]),
        cell.compute.rows,
        placed.placed,
    )
    scorer = on_device(cell.reward.scorer(given))
    masters = policy is not None and policy.dtype == torch.float32 and not cell.compute.casts_weights

    def beside(model: PreTrainedModel) -> PreTrainedModel:
        if masters and model.dtype == torch.bfloat16:
            beside_masters(model)
        return on_device(with_critic(model, "none"))

    if isinstance(policy, PeftModel):
        start = without_adapters(policy)
        log.info("the policy without its adapters is its own start: no second copy of the weights is loaded for it")
    else:
        start = beside(cell.model.policy(policies[0]).requires_grad_(False).eval())
    reference = start if cell.reference.is_start else beside(cell.reference.combine(policies, cell.model))
    tokenizer = cell.model.tokenizer()
    proxy = Proxy(scorer, cell.settings.proxy)
    actors = RolloutModels(reference, proxy, cell.sampler, cell.compute.rows, tokenizer, _preference_model(cell))
    counts = {f"world: {reason}": count for reason, count in cell.world.left_out().items()}
    prompts = prompts_of(cell, "heldout", counts)
    drawn = paths.get("start completions")
    texts = read_start_completions(drawn) if drawn else []
    held_out = HeldOut(prompts, actors, start, judge, singles(scorer, members, cell.compute.rows), texts)
    return Assembly(actors, held_out, policies[0], counts)


def singles(scorer: Scorer, members: Sequence[Path], rows: int) -> list[MemberScorer]:
    """Each member as a scorer of its own, to see where they disagree: an ensemble has them in memory, WARM has their mean
    alone, and a control has none but itself. `rows`: completions in one forward pass of those that are loaded here."""
    if not members:
        return [scorer]
    if isinstance(scorer, Ensemble) and scorer.num_members == len(members):
        return list(scorer.singles())
    if torch.cuda.is_available() and not all(map(is_adapter, members)):
        return [LoadedToScore(path, rows) for path in members]
    return [single_model(load_member(path), rows) for path in members]


@dataclass(frozen=True)
class LoadedToScore:
    """A member that is on the GPU only while it scores: it scores at evaluations alone, and WARM is to cost one model."""

    path: Path
    rows: int

    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        scorer = on_device(single_model(load_member(self.path), self.rows))
        return scorer.member_scores(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT)


def prompts_of(cell: Cell, split: Split, counts: dict[str, int]) -> EncodedPrompts:
    """The split's prompts in token ids; those too long are left out, said, and added to `counts`."""
    prompts = cell.world.prompts(split, cell.settings.data_seed)
    encoded = encode(cell.model.tokenizer(), prompts, cell.world.max_prompt_tokens)
    if encoded.left_out:
        log.warning("%d %s prompts are longer than world.max_prompt_tokens and are left out", encoded.left_out, split)
        counts[f"{split} prompts longer than world.max_prompt_tokens"] = encoded.left_out
    return encoded


def _preference_model(cell: Cell) -> PreferenceModel | None:
    model = cell.world.preference_model()
    if model is None and not cell.best_of_n and cell.policy_optimizer.needs.preferences:
        raise UserError("optimizer.oracle=preference: this world has no preference model; use optimizer.oracle=reward")
    return model
