"""Gold where the world has no judge: a reward model that the proxies share no pair with, or a given checkpoint."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.reward import ROWS
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Judge, Prompt, World
from rlx.model.checkpoint import local_directory
from rlx.model.readable import named
from rlx.model.recipe import Model
from rlx.model.score_head import load_reward_model, score_rows
from rlx.model.tokens import encode_completion, encode_prompt
from rlx.process import processes
from rlx.process.device import on_device
from rlx.supervised.accuracy import judged
from rlx.supervised.limit import length_limit, say_left_out
from rlx.supervised.member import Member, base_address, train_member
from rlx.supervised.pairs import Preference, PreferencePairs, ended, read
from rlx.supervised.probe import probe
from rlx.supervised.reference_set import read_reference_set
from rlx.supervised.reward_model import RewardMember, RewardModel
from rlx.supervised.reward_rows import RewardRows
from rlx.supervised.sft import SFT, SFTPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GoldModel:
    """As a RewardMember, on the world's gold pairs without label noise, with a head probed on them alone."""

    VERSION: ClassVar[int] = 1

    world: World
    model: Model
    sft: SFT
    reward_model: RewardModel

    def build(self, directory: Path, store: Store, seed: int) -> None:
        given = self.world.gold_pairs(seed)
        if given is None:
            raise UserError(
                "the world has no gold pairs to train a gold model on; set world.gold to a reward model's checkpoint"
            )
        pairs, left_out = length_limit(self.world, self.model.tokenizer()).pairs(given)
        say_left_out("gold pairs", left_out)
        # Held-out prompts: gold is measured where the policies are.
        heldout, _ = length_limit(self.world, self.model.tokenizer()).pairs(self.world.heldout_pairs(seed))
        if not pairs or not heldout:
            raise UserError(
                f"no gold pair is short enough ({left_out}); raise world.max_prompt_tokens or max_completion_tokens"
            )
        train = [ended(pair) for pair in self.world.to_train_on("gold", pairs)]
        like = RewardMember(self.world, self.model, self.sft, self.reward_model, 0.0, 0)
        path = store.fetch(SFTPolicy(self.world, self.model, self.sft, 0), seed)
        trunk = self.model.reward_trunk(path)
        rows = RewardRows(self.model, [pair.prompt for pair in train])
        encoded = rows.of_pairs(train)
        weight_H, _ = probe(trunk.eval(), encoded, self.reward_model.probe_l2)
        with torch.no_grad():
            trunk.score.weight.copy_(weight_H[None])  # pyright: ignore
        learning_rate, dropout = like.drawn(seed)
        training = self.reward_model.training("gold model", learning_rate, seed_of("gold model", seed))
        reference = read_reference_set(store.fetch(like.reference_set, seed))
        heldout = [ended(pair) for pair in heldout]
        base = base_address(self.model, path, trunk, store)
        member = Member(
            self.model, trunk.train(), dropout, training, rows, encoded, None, None, heldout, seed, *reference, base
        )
        made = train_member(member, directory, store.training_context(self, seed))
        (directory / "member.json").write_text(json.dumps(made, indent=1, sort_keys=True), encoding="utf-8")


class RewardModelJudge:
    """A reward model as gold judge, on texts, by its own tokenizer: z-normalised where it carries score_mean and
    score_std, else in its own unit."""

    def __init__(self, name: str | Path, key: str, rows: int = ROWS) -> None:
        """`rows`: completions in one forward pass. `key`: the setting that gave `name`, for messages."""
        self.model, self.rows = on_device(load_reward_model(name, key=key)), rows
        self.tokenizer = judges_tokenizer(name, key)
        self.mean = getattr(self.model.config, "score_mean", 0.0)
        self.std = getattr(self.model.config, "score_std", 1.0)

    def score(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        rows = [
            encode_prompt(self.tokenizer, prompt.text)
            + encode_completion(self.tokenizer, completion.text, completion.ended)
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        return ((score_rows(self.model, rows, self.rows).double() - self.mean) / self.std).tolist()

    def factors(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[dict[str, float]]:
        """A learned judge cannot say what its score is made of."""
        return [{} for _ in completions]


def judges_tokenizer(name: str | Path, key: str) -> PreTrainedTokenizerBase:
    """The tokenizer of the reward model at `name`. Raises UserError where it has none, or none with an end of sequence."""
    with named(f"{key}={name}: its tokenizer", "save the reward model with its tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(local_directory(str(name), None, key), trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise UserError(f"{key}={name}: its tokenizer has no end-of-sequence token")
    return tokenizer


def gold_judge(
    world: World, model: Model, sft: SFT, reward_model: RewardModel, store: Store, seed: int, rows: int = ROWS
) -> Judge:
    """The world's own judge; else its checkpoint (`world.gold`); else a gold model trained on its gold pairs. `rows`:
    completions in one forward pass of a reward model."""
    if (judge := world.judge()) is not None:
        return judge
    if (checkpoint := world.gold) is not None:
        return RewardModelJudge(checkpoint, "world.gold", rows)
    return RewardModelJudge(store.fetch(GoldModel(world, model, sft, reward_model), seed), "gold model", rows)


def judged_together(judge: Judge, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
    """Gold's scores, of which each of several processes computes a share. All must call this with the same completions."""
    mine = processes.share(len(prompts))
    return processes.concatenated(judge.score(prompts[mine], completions[mine]))


@dataclass(frozen=True)
class GoldOnPairs:
    """gold.json: the row (`rlx.supervised.accuracy.judged`) of the gold judge on the members' held-out pairs."""

    VERSION: ClassVar[int] = 1

    pairs: PreferencePairs
    checkpoint: str | None  # of a given gold model
    reward_model: RewardModel | None  # the numbers of a gold model that is trained; None where it is not

    def build(self, directory: Path, store: Store, seed: int) -> None:
        heldout = read(store.fetch(self.pairs, seed) / "heldout.jsonl")
        clean = self.pairs.clean
        numbers: Any = self.reward_model  # only read where a gold model is trained
        judge = gold_judge(clean.world, clean.model, clean.sft, numbers, store, seed)

        def scores(pairs: list[Preference]) -> tuple[list[float], list[float]]:
            prompts = [pair.prompt for pair in pairs]
            chosen_B = judged_together(judge, prompts, [p.chosen for p in pairs])
            return chosen_B, judged_together(judge, prompts, [p.rejected for p in pairs])

        row = judged("gold", {"heldout": heldout}, scores)
        (directory / "gold.json").write_text(json.dumps(row, indent=1, sort_keys=True), encoding="utf-8")
