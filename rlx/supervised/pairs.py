"""Preference pairs for the reward models: given by the world, or drawn from SFT policy 0 and labelled by the judge.

Label noise flips exactly round(noise * n) training pairs, once, for all members alike (arXiv 2310.02743, section 4;
arXiv 2401.12187, section 5). Held-out pairs stay clean.
"""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import torch

from rlx.artefact.store import Recipe, Store
from rlx.core.error import UserError
from rlx.core.jsonl import read_rows, write_rows
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Judge, Pair, Prompt, Split, World
from rlx.model.recipe import Model
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.sampler.transformers import Transformers
from rlx.supervised.drawing import draw
from rlx.supervised.limit import length_limit, say_left_out
from rlx.supervised.sft import SFT, SFTPolicy

log = logging.getLogger(__name__)
PROMPTS_AT_A_TIME = 128
OTHER_DRAWS = 1_000_000  # a number that no pass over the prompts reaches, so that no draw comes twice
MAX_MEASURED = 512  # training pairs of either kind that judges are measured on, for time


@dataclass(frozen=True)
class Preference:
    """A pair whose completions may have been cut off by the length limit (and then have no EOS)."""

    prompt: Prompt
    chosen: Completion
    rejected: Completion
    flipped: bool = False


def flipped_indices(num_pairs: int, noise: float, seed: int) -> list[int]:
    """Which pairs label noise swaps: round(noise * num_pairs) of them; less noise flips a part of those."""
    order = torch.randperm(num_pairs, generator=torch.Generator().manual_seed(seed_of("label noise", seed)))
    return sorted(order[: round(noise * num_pairs)].tolist())


@dataclass(frozen=True)
class CleanPairs:
    """pairs.jsonl (training), heldout.jsonl, and pairs.json with what was left out. Shared by all levels of noise."""

    VERSION: ClassVar[int] = 1

    world: World
    model: Model
    sft: SFT
    num_pairs: int  # drawn ones; a world that gives pairs gives them all
    num_heldout_pairs: int
    completions_per_prompt: int
    temperature: float
    sampling_batch_size: int

    def build(self, directory: Path, store: Store, seed: int) -> None:
        given = self.world.pairs(seed)
        train, heldout, counts = self._draw(store, seed) if given is None else self._take(given, seed)
        write(directory / "pairs.jsonl", train)
        write(directory / "heldout.jsonl", heldout)
        (directory / "pairs.json").write_text(json.dumps(counts, indent=1, sort_keys=True), encoding="utf-8")

    def _take(self, given: Sequence[Pair], seed: int) -> tuple[list[Preference], list[Preference], dict[str, int]]:
        limit = length_limit(self.world, self.model.tokenizer())
        train, left_out = limit.pairs(given)
        heldout, left_out_heldout = limit.pairs(self.world.heldout_pairs(seed))
        counts = Counter(left_out) + Counter({f"held-out {k}": v for k, v in left_out_heldout.items()})
        say_left_out("preference pairs", counts)
        if not train or not heldout:
            raise UserError(
                "no preference pair is short enough; raise world.max_prompt_tokens or world.max_completion_tokens"
            )
        train = self.world.to_train_on("proxies", train)
        return [ended(p) for p in train], [ended(p) for p in heldout[: self.num_heldout_pairs]], dict(counts)

    def _draw(self, store: Store, seed: int) -> tuple[list[Preference], list[Preference], dict[str, int]]:
        judge = self.world.judge()
        if judge is None:
            raise UserError("the world gives neither preference pairs nor a judge to label drawn ones")
        path = store.fetch(SFTPolicy(self.world, self.model, self.sft, 0), seed)
        counts: Counter[str] = Counter()
        drawer = _Drawer(self, path, judge, seed, counts)
        with stage("preference pairs", self.num_pairs + self.num_heldout_pairs) as bar:
            train = drawer.pairs("train", self.num_pairs, bar)
            heldout = drawer.pairs("heldout", self.num_heldout_pairs, bar)
        say_left_out("preference pairs", counts)
        return train, heldout, dict(counts)

    def drawn_besides(self, number: int, store: Store, seed: int) -> tuple[list[Preference], dict[str, int]]:
        """Return `number` more pairs of training prompts, drawn and judged as the others are, and what was left out. They
        begin with the prompts that the others come to last. Raise UserError where the world has no judge."""
        judge = self.world.judge()
        if judge is None:
            raise UserError("the world has no judge that could label trusted pairs; use a world that gives pairs")
        path = store.fetch(SFTPolicy(self.world, self.model, self.sft, 0), seed)
        counts: Counter[str] = Counter()
        with stage("trusted pairs", number) as bar:
            found = _Drawer(self, path, judge, seed, counts).pairs("train", number, bar, besides=True)
        say_left_out("trusted pairs", counts)
        return found, dict(counts)


class _Drawer:
    def __init__(self, recipe: CleanPairs, path: Path, judge: Judge, seed: int, counts: Counter[str]) -> None:
        self.recipe, self.judge, self.seed, self.counts = recipe, judge, seed, counts
        self.tokenizer = recipe.model.tokenizer()
        self.policy = on_device(recipe.model.policy(path).eval())
        self.sampler = Transformers(recipe.world.max_completion_tokens, recipe.temperature, recipe.sampling_batch_size)

    def pairs(self, split: Split, wanted: int, bar, besides: bool = False) -> list[Preference]:
        """Consecutive pairs of the completions of one prompt. Ties say nothing: left out, counted and drawn anew. `besides`:
        other draws, from the end of the prompts' order."""
        prompts, left_out = length_limit(self.recipe.world, self.tokenizer).prompts(
            self.recipe.world.prompts(split, self.seed)
        )
        self.counts.update(left_out)
        generator = torch.Generator().manual_seed(seed_of("pair prompts", self.seed, split))
        order = torch.randperm(len(prompts), generator=generator).tolist()
        found: list[Preference] = []
        passes = 0
        if besides:
            order, passes = order[::-1], OTHER_DRAWS
        while len(found) < wanted:
            before = len(found)
            for start in range(0, len(order), PROMPTS_AT_A_TIME):
                part = [prompts[i] for i in order[start : start + PROMPTS_AT_A_TIME]]
                found += self._judged(part, passes)[: wanted - len(found)]
                bar.advance(min(len(found), wanted) - before)
                before = len(found)
                if len(found) == wanted:
                    return found
            passes += 1
            if not found:
                raise UserError(
                    f"the judge prefers none of {len(order)} pairs of completions of {split} prompts: all are ties"
                )
        return found

    def _judged(self, prompts: Sequence[Prompt], number: int) -> list[Preference]:
        each = self.recipe.completions_per_prompt
        repeated = [prompt for prompt in prompts for _ in range(each)]
        seeds = [seed_of("pair", self.seed, prompt.id, number, k) for prompt in prompts for k in range(each)]
        drawn = draw(self.policy, self.tokenizer, repeated, seeds, self.sampler)
        scores = self.judge.score(repeated, drawn)
        found = []
        for i in range(0, len(drawn), 2):
            if scores[i] == scores[i + 1]:
                self.counts["pairs that the judge holds equal"] += 1
                continue
            better, worse = (i, i + 1) if scores[i] > scores[i + 1] else (i + 1, i)
            found.append(Preference(repeated[i], drawn[better], drawn[worse]))
        return found


class PairSource(Recipe, Protocol):
    """A recipe whose files are those of CleanPairs."""

    @property
    def world(self) -> World: ...

    @property
    def model(self) -> Model: ...

    @property
    def sft(self) -> SFT: ...


@dataclass(frozen=True)
class PreferencePairs:
    """What members are trained and measured on: clean pairs with label noise; pairs.json lists the flipped rows."""

    VERSION: ClassVar[int] = 1

    clean: PairSource
    label_noise: float

    def build(self, directory: Path, store: Store, seed: int) -> None:
        source = store.fetch(self.clean, seed)
        pairs = read(source / "pairs.jsonl")
        flips = flipped_indices(len(pairs), self.label_noise, seed)
        for i in flips:
            pairs[i] = replace(pairs[i], chosen=pairs[i].rejected, rejected=pairs[i].chosen, flipped=True)
        write(directory / "pairs.jsonl", pairs)
        write(directory / "heldout.jsonl", read(source / "heldout.jsonl"))
        counts = {
            "pairs": len(pairs),
            "flipped": flips,
            "flipped_prompt_ids": [pairs[i].prompt.id for i in flips],
            "left_out": json.loads((source / "pairs.json").read_text(encoding="utf-8")),
        }
        (directory / "pairs.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")


def ended(pair: Pair) -> Preference:
    """A given pair: its texts are whole."""
    return Preference(pair.prompt, Completion(pair.chosen, True), Completion(pair.rejected, True), pair.flipped)


def parts(train: Sequence[Preference], heldout: Sequence[Preference]) -> dict[str, list[Preference]]:
    """What judges are measured on: all held-out pairs, and the first MAX_MEASURED training pairs with true labels and with
    flipped ones. On the latter, the accuracy is the share of false labels that is given back."""
    return {
        "heldout": list(heldout),
        "train_clean": [pair for pair in train if not pair.flipped][:MAX_MEASURED],
        "train_flipped": [pair for pair in train if pair.flipped][:MAX_MEASURED],
    }


def write(path: Path, pairs: Sequence[Preference]) -> None:
    """One JSON object a line: prompt_id, prompt, chosen, rejected, chosen_ended, rejected_ended, flipped."""
    write_rows(
        path,
        (
            {
                "prompt_id": pair.prompt.id,
                "prompt": pair.prompt.text,
                "chosen": pair.chosen.text,
                "rejected": pair.rejected.text,
                "chosen_ended": pair.chosen.ended,
                "rejected_ended": pair.rejected.ended,
                "flipped": pair.flipped,
            }
            for pair in pairs
        ),
    )


def read(path: Path) -> list[Preference]:
    """What `write` wrote."""
    return [_preference(row) for row in read_rows(path)]


def prompt_of(prompt_id: str, text: str | list[list[str]]) -> Prompt:
    """A prompt out of JSON, in which messages are lists."""
    return Prompt(prompt_id, text if isinstance(text, str) else tuple((role, content) for role, content in text))


def _preference(row: dict) -> Preference:
    return Preference(
        prompt_of(row["prompt_id"], row["prompt"]),
        Completion(row["chosen"], row["chosen_ended"]),
        Completion(row["rejected"], row["rejected_ended"]),
        row["flipped"],
    )
