"""One choice from every group: what a run is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rlx.artefact.store import Recipe, Store, TrainingContext
from rlx.attribution.consistent import Consistent
from rlx.attribution.none import NoAttribution
from rlx.core.build import build
from rlx.core.cleaner import Cleaner
from rlx.core.compute import Compute
from rlx.core.policy_optimizer import PolicyOptimizer
from rlx.core.reference import Reference
from rlx.core.regularizer import Regularizer
from rlx.core.reward import Reward
from rlx.core.sampler import Sampler
from rlx.core.settings import Settings, settings_of
from rlx.core.tracker import TrackerChoice
from rlx.core.world import FactorWorld, Judge, Split, World
from rlx.experiment.pools import PoolRecipes, pool_recipes
from rlx.model import attention
from rlx.model.checkpoint import local_directory
from rlx.model.recipe import Model
from rlx.optimizer.bon import BoN
from rlx.supervised.baselines import PairBaselines
from rlx.supervised.cleaned_member import CleanedRewardMember
from rlx.supervised.combined import MembersOnPairs
from rlx.supervised.consistent_member import ConsistentRewardMember
from rlx.supervised.gold import GoldModel, GoldOnPairs, gold_judge
from rlx.supervised.importance import NUM_TEXTS, FactorImportance
from rlx.supervised.pool import Pool
from rlx.supervised.reference_set import ReferenceSet
from rlx.supervised.reward_model import RewardMember, RewardModel
from rlx.supervised.sft import SFT, SFTPolicy
from rlx.supervised.start_completions import StartCompletions


@dataclass(frozen=True)
class Cell:
    """The recipes that a config's groups describe, and the artefacts that follow from them."""

    settings: Settings
    world: World
    model: Model
    sft: SFT
    reward_model: RewardModel
    cleaner: Cleaner
    attribution: NoAttribution | Consistent
    reward: Reward
    reference: Reference
    regularizer: Regularizer
    optimizer: PolicyOptimizer | BoN
    sampler: Sampler
    compute: Compute
    tracker: TrackerChoice

    @property
    def best_of_n(self) -> BoN | None:
        """What best-of-n draws; None where the policy learns over steps."""
        return self.optimizer if isinstance(self.optimizer, BoN) else None

    @property
    def policy_optimizer(self) -> PolicyOptimizer:
        """What the policy learns with over steps; best-of-n has none."""
        assert not isinstance(self.optimizer, BoN)
        return self.optimizer

    @cached_property
    def store(self) -> Store:
        return Store(Path(self.settings.cache_dir).expanduser(), self.training_context)

    def training_context(self, folder: Path) -> TrainingContext:
        """Where something of the cell is trained by TRL, with `folder` for its checkpoints."""
        return TrainingContext(
            folder, self.compute.distribution(), self.compute.layout, self.settings.checkpoint.minutes
        )

    def policies(self) -> list[SFTPolicy]:
        """The SFT policies that the reference is made of; the policy starts from the first."""
        return [SFTPolicy(self.world, self.model, self.sft, i) for i in range(self.reference.num_policies)]

    def members(self) -> list[RewardMember]:
        """The reward models that the proxy is made of."""
        plain, attribution = [self._member(i) for i in self.reward.members], self.attribution
        if not isinstance(attribution, Consistent) or attribution.weight == 0:
            return plain
        fields = (self.world, self.model, self.sft, self.reward_model, self.world.label_noise)
        return [ConsistentRewardMember(*fields, member.index, member, attribution) for member in plain]

    def reference_set(self) -> ReferenceSet:
        """What every scorer is z-normalised on."""
        return self._member(0).reference_set

    def gold(self) -> GoldModel | None:
        """The gold reward model to train, where the world has neither a judge nor a checkpoint of one."""
        if self.world.judge() is not None or self.world.gold:
            return None
        return GoldModel(self.world, self.model, self.sft, self.reward_model)

    def given_gold(self) -> Path | None:
        """The files of `world.gold`, where it is what judges."""
        if self.world.judge() is not None or not self.world.gold:
            return None
        return local_directory(self.world.gold, None, "world.gold")

    def judge(self) -> Judge:
        seed, rows = self.settings.data_seed, self.compute.rows
        return gold_judge(self.world, self.model, self.sft, self.reward_model, self.store, seed, rows)

    def recipes(self) -> dict[str, Recipe]:
        """Every artefact that the cell needs, by name, in the order in which they are built."""
        named = self.models() | self.on_pairs() | self.importance()
        for pool in self.pools().values():
            named |= pool.named()
        return named | {"start completions": self.start_completions()}

    def models(self) -> dict[str, Recipe]:
        """The models of the policy's start, the reference, the proxy and gold, with what they are made from, by name."""
        members, policies, gold = self.members(), self.policies(), self.gold()
        trunks = {member.trunk()[0] for member in members}
        policies += sorted(trunks - set(policies), key=lambda policy: policy.index)
        named: dict[str, Recipe] = {f"SFT policy {policy.index}": policy for policy in policies}
        if members:
            named |= members[0].made_from()
        named["reference set"] = self.reference_set()
        named |= {f"reward model {member.index}": member for member in members}
        return named | ({"gold reward model": gold} if gold else {})

    def on_pairs(self) -> dict[str, Recipe]:
        """What is measured on the preference pairs: trivial baselines, the reward models, and gold where it is a reward
        model or the pairs are given. A judge that labelled the pairs itself is right by construction."""
        members, pairs, world = self.members(), self._member(0).pairs, self.world
        learnt = world.judge() is None
        of_gold = learnt or world.pairs(self.settings.data_seed) is not None
        named: dict[str, Recipe] = {}
        if members or of_gold:
            named["baselines on pairs"] = PairBaselines(pairs)
        if members:
            named["reward models on pairs"] = MembersOnPairs(tuple(members))
        if of_gold:
            checkpoint = world.gold
            numbers = self.reward_model if learnt and not checkpoint else None
            named["gold on pairs"] = GoldOnPairs(pairs, checkpoint, numbers)
        return named

    def importance(self) -> dict[str, Recipe]:
        """What the reward models find important, where there are any and the world can take factors out of a text."""
        members, world = tuple(self.members()), self.world
        if not members or not isinstance(world, FactorWorld):
            return {}
        recipe = FactorImportance(members, members[0].pairs, "heldout", NUM_TEXTS, world.factor_groups)
        return {"factor importance": recipe}

    def start_completions(self) -> StartCompletions:
        """What the start policy writes on all held-out prompts that the run measures on."""
        numbers, bon = self.settings.evaluation, self.best_of_n
        along, last = numbers.num_prompts, numbers.final_num_prompts
        # Best-of-n without a distilled policy has no final measurement of its own, and no policy that learns.
        num_prompts = along if bon is not None and not bon.distill else max(along, last)
        learns = bon is None and self.model.lora("CAUSAL_LM") is None and not self.compute.casts_weights
        masters = learns and getattr(self.model, "dtype", "float32") == "bfloat16"
        return StartCompletions(self.policies()[0], self.sampler, "heldout", num_prompts, masters)

    def start_completions_there(self, own: Settings) -> dict[str, Path]:
        """The most start completions in the store that a measurement after training can read, by name; none where none
        fit. `own` are the settings of the run, which may have drawn more than this cell's settings ask for."""
        numbers = [s.evaluation for s in (self.settings, own)]
        for num in sorted({n for e in numbers for n in (e.num_prompts, e.final_num_prompts)}, reverse=True):
            recipe = replace(self.start_completions(), num_prompts=num, masters=False)
            if self.store.has(recipe, self.settings.data_seed):
                return {"start completions": self.store.fetch(recipe, self.settings.data_seed)}
        return {}

    def pools(self) -> dict[Split, PoolRecipes]:
        """What best-of-n chooses from, by split; none for an optimiser that draws as it learns."""
        bon = self.best_of_n
        if bon is None:
            return {}
        num = bon.num_samples
        found: dict[Split, PoolRecipes] = {"heldout": self._pool("heldout", self.settings.evaluation.num_prompts, num)}
        if bon.distill:
            found["train"] = self._pool("train", bon.num_distilled, num)
        return found

    def _pool(self, split: Split, num_prompts: int, num: int) -> PoolRecipes:
        seed = self.settings.seed
        pool = Pool(self.policies()[0], self.sampler, split, num_prompts, num, seed)
        members, policies = tuple(self.members()), tuple(self.policies())
        return pool_recipes(pool, self.reward, members, self.reference, policies, self.compute.rows, self.reward_model)

    def _member(self, index: int) -> RewardMember:
        fields = (self.world, self.model, self.sft, self.reward_model, self.world.label_noise, index)
        if not self.cleaner.cleans:
            return RewardMember(*fields)
        return CleanedRewardMember(*fields, self.cleaner, self.world.pairs(self.settings.data_seed) is not None)


def cell_of(config: Mapping[str, Any]) -> Cell:
    """The cell that a checked, resolved config describes, its compute started."""
    groups = [name for name in Cell.__dataclass_fields__ if name != "settings"]
    cell = Cell(settings_of(config), **{name: build(config[name]) for name in groups})
    cell.compute.start()
    attention.use(getattr(cell.model, "attn_implementation", None))
    return cell
