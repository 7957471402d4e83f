"""`rlx prepare`: the artefacts that a cell needs, without training a policy; and the cell itself, built from its config."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rlx.core.build import build
from rlx.core.logs import speak
from rlx.core.policy_optimizer import PolicyOptimizer
from rlx.core.regularizer import Regularizer
from rlx.core.sampler import Sampler
from rlx.core.settings import Settings, settings_of
from rlx.core.store import Recipe, Store
from rlx.core.tracker import TrackerChoice
from rlx.core.world import Judge, World
from rlx.model.recipe import Model
from rlx.supervised.gold import GoldModel, gold_judge
from rlx.supervised.reward_model import RewardMember, RewardModel
from rlx.supervised.sft import SFT, SFTPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One choice from every group: what a run is made of."""

    settings: Settings
    world: World
    model: Model
    sft: SFT
    reward_model: RewardModel
    reward: Any
    reference: Any
    regularizer: Regularizer
    optimizer: PolicyOptimizer
    sampler: Sampler
    compute: Any
    tracker: TrackerChoice

    @property
    def store(self) -> Store:
        return Store(Path(self.settings.cache_dir).expanduser())

    def policies(self) -> list[SFTPolicy]:
        """The SFT policies that the reference is made of; the policy starts from the first."""
        return [SFTPolicy(self.world, self.model, self.sft, i) for i in range(self.reference.num_policies)]

    def members(self) -> list[RewardMember]:
        """The reward models that the proxy is made of."""
        return [self.member(i) for i in range(self.reward.num_members)]

    def member(self, index: int) -> RewardMember:
        return RewardMember(self.world, self.model, self.sft, self.reward_model, self.world.label_noise, index)

    def gold(self) -> GoldModel | None:
        """The gold reward model to train, where the world has neither a judge nor a checkpoint of one."""
        if self.world.judge() is not None or getattr(self.world, "gold", None):
            return None
        return GoldModel(self.world, self.model, self.sft, self.reward_model)

    def judge(self) -> Judge:
        return gold_judge(self.world, self.model, self.sft, self.reward_model, self.store, self.settings.data_seed)


def cell_of(config: Mapping[str, Any]) -> Cell:
    """The cell that a checked, resolved config describes; torch is set to the threads that it asks for."""
    groups = [name for name in Cell.__dataclass_fields__ if name != "settings"]
    cell = Cell(settings_of(config), **{name: build(config[name]) for name in groups})
    torch.set_num_threads(cell.compute.num_threads)
    return cell


def recipes(config: Mapping[str, Any]) -> list[tuple[str, Recipe, int]]:
    """(name, recipe, seed) of every artefact that the cell needs, in the order in which they are built."""
    return recipes_of(cell_of(config))


def recipes_of(cell: Cell) -> list[tuple[str, Recipe, int]]:
    members, policies, gold = cell.members(), cell.policies(), cell.gold()
    first = cell.member(0)
    named: list[tuple[str, Recipe]] = [(f"SFT policy {p.index}", p) for p in policies]
    trunks = {policy for member in members for policy in [member.trunk()[0]]} - set(policies)
    named += [(f"SFT policy {p.index}", p) for p in sorted(trunks, key=lambda p: p.index)]
    if members:
        named += [("preference pairs", first.pairs), ("score head", first.head)]
    named += [("reference set", first.reference_set)]
    named += [(f"reward model {m.index}", m) for m in members]
    named += [("gold reward model", gold)] if gold else []
    return [(name, recipe, cell.settings.data_seed) for name, recipe in named]


def run(config: Mapping[str, Any]) -> int:
    """Build what is missing; say where everything is."""
    speak()
    cell = cell_of(config)
    for name, recipe, seed in recipes_of(cell):
        there = cell.store.has(recipe, seed)
        path = cell.store.fetch(recipe, seed)
        print(f"{name:24s} {'was there' if there else 'built':10s} {path}")
    return 0
