"""Trusted pairs: training prompts' pairs with right labels, set aside to learn weights from and not trained on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.seed import seed_of
from rlx.core.world import World
from rlx.model.recipe import Model
from rlx.supervised.pairs import CleanPairs, Preference, read, write
from rlx.supervised.sft import SFT


@dataclass(frozen=True)
class TrustedPairs:
    """trusted.jsonl, and pairs.json with what was left out.

    Where pairs are drawn, `num_trusted` more are drawn and keep the judge's own labels. Where the world gives its pairs, as
    many of the training pairs are taken away before any label is flipped, and pairs.jsonl and heldout.jsonl hold the rest.
    """

    VERSION: ClassVar[int] = 1

    clean: CleanPairs
    num_trusted: int

    @property
    def world(self) -> World:
        return self.clean.world

    @property
    def model(self) -> Model:
        return self.clean.model

    @property
    def sft(self) -> SFT:
        return self.clean.sft

    def build(self, directory: Path, store: Store, seed: int) -> None:
        source = store.fetch(self.clean, seed)
        heldout = read(source / "heldout.jsonl")
        counts = json.loads((source / "pairs.json").read_text(encoding="utf-8"))
        if self.world.pairs(seed) is None:
            trusted, counts = self.clean.drawn_besides(self.num_trusted, store, seed)
        else:
            trusted, rest = set_aside(read(source / "pairs.jsonl"), self.num_trusted, seed)
            write(directory / "pairs.jsonl", rest)
            write(directory / "heldout.jsonl", heldout)
        check_trusted(trusted, heldout)
        write(directory / "trusted.jsonl", trusted)
        (directory / "pairs.json").write_text(json.dumps(counts, indent=1, sort_keys=True), encoding="utf-8")


def set_aside(pairs: Sequence[Preference], number: int, seed: int) -> tuple[list[Preference], list[Preference]]:
    """Return `number` pairs at random and the rest, both in their order; the trusted of a smaller number are among those
    of a larger one. Raise UserError where no more than `number` are there."""
    if number >= len(pairs):
        raise UserError(
            f"cleaner.num_trusted={number}: there are {len(pairs)} training pairs, and some must be left to train on; lower it"
        )
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed_of("trusted pairs", seed)))
    chosen = set(order[:number].tolist())
    return [p for i, p in enumerate(pairs) if i in chosen], [p for i, p in enumerate(pairs) if i not in chosen]


def check_trusted(trusted: Sequence[Preference], heldout: Sequence[Preference]) -> None:
    """Raise UserError where there is no trusted pair, or one on a held-out prompt: weights learnt from held-out pairs would
    make every held-out number optimistic."""
    if not trusted:
        raise UserError("cleaner.num_trusted: there are no trusted pairs to learn weights from; set it to 1 or more")
    held_out = {pair.prompt.id for pair in heldout}
    if wrong := [pair.prompt.id for pair in trusted if pair.prompt.id in held_out]:
        raise UserError(
            f"{len(wrong)} trusted pairs are on held-out prompts (the first: {wrong[0]}); take them from training prompts"
        )
