"""Training of one reward model, proxy or gold: fit, put on a scale, measure, save."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from rlx.artefact.store import Store, TrainingContext
from rlx.core.error import UserError
from rlx.core.seed import seed_of
from rlx.core.world import Completion, Prompt
from rlx.model.base_address import BaseAddress, address_of
from rlx.model.checkpoint import quiet
from rlx.model.recipe import Model
from rlx.model.score_head import RewardModel, pack, shared_scores
from rlx.model.shared_base import AdaptedRewardModel, save_adapted
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.supervised.importance_penalty import ImportancePenalty
from rlx.supervised.pair_trainer import WEIGHT
from rlx.supervised.pairs import Preference
from rlx.supervised.reward_rows import PairRows, RewardRows
from rlx.supervised.trl_trainers import FitSettings, fit_reward_model

# Training pairs of either kind: a standard error of .011 at most, at a cost that does not grow.
MAX_TRAIN_MEASURED = 2000


@dataclass(frozen=True)
class Member:
    """`trunk` has its score head in place already."""

    model: Model
    trunk: PreTrainedModel
    dropout: float
    training: FitSettings
    rows: RewardRows
    pairs: PairRows
    weights: Sequence[float] | None  # of the pairs, of mean 1; None = all alike, by TRL's own trainer
    penalty: ImportancePenalty | None  # a further term of the loss
    heldout: Sequence[Preference]
    sample_seed: int  # of the training pairs whose accuracy is measured, where there are many
    reference_prompts: Sequence[Prompt]
    reference_completions: Sequence[Completion]
    base: BaseAddress | None  # of the weights that `trunk` was loaded from, for an adapter to name


def base_address(model: Model, policy: Path, trunk: PreTrainedModel, store: Store) -> BaseAddress | None:
    """Return where the weights of `trunk`, loaded for the SFT policy in `policy`, lie; None where they are trained whole."""
    if model.lora("SEQ_CLS") is None:
        return None
    return address_of(model.reward_base(policy), store.root, str(trunk.dtype).removeprefix("torch."))


def pair_accuracy(chosen_B: Tensor, rejected_B: Tensor) -> float | None:
    """Return the share of pairs in which the chosen scores higher; ties count half. None without pairs."""
    if not len(chosen_B):
        return None
    return float(((chosen_B > rejected_B).double() + 0.5 * (chosen_B == rejected_B).double()).mean())


def train_member(member: Member, directory: Path, training_context: TrainingContext) -> dict:
    """Write the trained model, tokenizers and reference set to `directory`; returns what member.json tells."""
    rows, pairs = member.rows, member.pairs
    with dropout_of(member.trunk, member.dropout):
        trained = fit_reward_model(
            member.trunk,
            rows.tokenizer,
            _weighed(
                [
                    {"chosen_ids": chosen, "rejected_ids": rejected}
                    for chosen, rejected in zip(pairs.chosen, pairs.rejected, strict=True)
                ],
                member.weights,
            ),
            member.model.lora("SEQ_CLS"),
            member.training,
            training_context,
            None if member.penalty is None else member.penalty.term(rows),
        )
    on_device(trained)  # a back end that spreads weights gives a copy on the CPU
    reference = rows.rows(member.reference_prompts, member.reference_completions)
    scores_B = shared_scores(trained, reference).double()
    mean, std = float(scores_B.mean()), float(scores_B.std(correction=0))
    if not std > 0:
        raise UserError(
            f"{member.training.name}: scores all reference completions {mean:g}; raise its learning rate or num_pairs"
        )
    measured = measured_parts(pairs, rows.of_pairs(member.heldout), member.sample_seed)
    accuracy = accuracies(trained, measured, f"accuracies of {member.training.name}")
    trained.config.score_mean, trained.config.score_std = mean, std
    if isinstance(trained, AdaptedRewardModel):
        assert member.base is not None
        save_adapted(trained, member.base, directory)
    else:
        with quiet():
            trained.cpu().save_pretrained(directory)  # pyright: ignore[reportCallIssue]
    rows.tokenizer.save_pretrained(directory)
    if not rows.shared:
        rows.policy_tokenizer.save_pretrained(directory / "policy_tokenizer")
    ids_BT, mask_BT = pack(reference, trained.config.pad_token_id)
    save_file({"ids": ids_BT, "mask": mask_BT}, directory / "reference_set.safetensors")
    return {
        "learning_rate": member.training.learning_rate,
        "dropout": member.dropout,
        "seed": member.training.seed,
        "pairs": len(pairs.pairs),
        "flipped_pairs": sum(pair.flipped for pair in pairs.pairs),
        "accuracy": accuracy,
        "accuracy_pairs": {name: len(part.pairs) for name, part in measured.items()},
        "score_mean": mean,
        "score_std": std,
        **({} if member.penalty is None else {"held_to": member.penalty.held_to}),
    }


def _weighed(rows: list[dict[str, Any]], weights: Sequence[float] | None) -> list[dict[str, Any]]:
    if weights is None:
        return rows
    return [row | {WEIGHT: weight} for row, weight in zip(rows, weights, strict=True)]


def measured_parts(train: PairRows, heldout: PairRows, seed: int) -> dict[str, PairRows]:
    """The pairs whose accuracy is measured. train_clean and train_flipped: the training pairs with true labels and with
    flipped ones, of more than MAX_TRAIN_MEASURED of either kind as many at random. heldout: all held-out pairs."""
    places = {flipped: [i for i, p in enumerate(train.pairs) if p.flipped is flipped] for flipped in (False, True)}
    return {
        "train_clean": train.at(sampled(places[False], seed)),
        "train_flipped": train.at(sampled(places[True], seed)),
        "heldout": heldout,
    }


def sampled(places: Sequence[int], seed: int) -> list[int]:
    """All `places`, or MAX_TRAIN_MEASURED of them at random, in their order."""
    if len(places) <= MAX_TRAIN_MEASURED:
        return list(places)
    generator = torch.Generator().manual_seed(seed_of("pairs measured", seed))
    chosen = torch.randperm(len(places), generator=generator)[:MAX_TRAIN_MEASURED].sort().values
    return [places[i] for i in chosen.tolist()]


def accuracies(model: RewardModel, parts: dict[str, PairRows], name: str) -> dict[str, float | None]:
    """train_clean: on pairs whose label is true. train_flipped: share of flipped pairs whose *false* label the model
    gives back (memorised noise; lower is better). heldout: on clean pairs never trained on. `name` is what the progress
    bar shows."""
    found = {}
    with stage(name, sum(len(part.pairs) for part in parts.values())) as bar:
        for kind, part in parts.items():
            found[kind] = pair_accuracy(shared_scores(model, part.chosen), shared_scores(model, part.rejected))
            bar.advance(len(part.pairs))
    return found


@contextmanager
def dropout_of(model: PreTrainedModel, dropout: float) -> Iterator[None]:
    """`model` with every dropout that its architecture has set to `dropout`, and its own put back afterwards.

    Raises UserError where the architecture has none to set.
    """
    # Attention reads its dropout from a number of its own, everything else is a layer.
    places = [(module, "p") for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    places += [
        (m, "attention_dropout")
        for m in model.modules()
        if isinstance(getattr(m, "attention_dropout", None), float | int)
    ]
    if dropout and not places:
        raise UserError(f"reward_model.dropouts: {type(model).__name__} has no dropout to set; use [0.0]")
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, dropout)
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
