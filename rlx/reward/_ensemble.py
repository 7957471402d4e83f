"""Reward-model members behind the scorer's interface: each scores all completions on its own z-scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.device import on_device
from rlx.core.error import UserError
from rlx.core.paper import Paper
from rlx.model.score_head import load_reward_model, score_rows
from rlx.model.tokens import translate_completion, translate_prompt

COSTE = Paper("Reward Model Ensembles Help Mitigate Overoptimization", "Coste, Thomas and others", 2023, "2310.02743")
ROWS_AT_A_TIME = 16  # on a CPU, small chunks are faster than one large batch


@dataclass(frozen=True)
class Translation:
    """Where the member reads another tokenizer's ids than the policy writes."""

    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedMember:
    """A reward model, the mean and spread of its raw scores on the reference set, and that set's ids."""

    model: PreTrainedModel
    mean: float
    std: float
    reference: list[list[int]]
    translation: Translation | None

    def z_scores(self, raw: Tensor) -> Tensor:
        return (raw - self.mean) / self.std

    def normalised(self) -> "LoadedMember":
        """The same model on the scale of its own scores on the reference set, measured now (its weights are new)."""
        raw = score_rows(on_device(self.model), self.reference).double()
        mean, std = float(raw.mean()), float(raw.std(correction=0))
        if not std > 0:
            raise UserError(
                "the averaged reward model gives every reference completion one score; its members do not fit together"
            )
        return replace(self, mean=mean, std=std)


def load_member(path: Path) -> LoadedMember:
    """Raises UserError if the score head is absent or the directory does not say its scale."""
    model = load_reward_model(path)
    try:
        reference = load_file(path / "reference_set.safetensors")
        mean, std = float(model.config.score_mean), float(model.config.score_std)
    except (OSError, AttributeError) as ex:
        raise UserError(
            f"{path}: not a member of an ensemble, it lacks score_mean and score_std in config.json or "
            "reference_set.safetensors; build members with rlx"
        ) from ex
    rows = [ids[mask].tolist() for ids, mask in zip(reference["ids"], reference["mask"], strict=True)]
    source = path / "policy_tokenizer"
    translation = None
    if source.is_dir():
        translation = Translation(AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(path))
    return LoadedMember(model, mean, std, rows, translation)


class Ensemble:
    """M members and how their z-scores become one number. Implements `rlx.core.scorer.Scorer`."""

    def __init__(self, members: Sequence[LoadedMember], aggregate: Callable[[Tensor], Tensor]) -> None:
        self.members, self._aggregate = members, aggregate

    def to(self, device: torch.device | str) -> "Ensemble":
        """Moves the members; returns self."""
        for member in self.members:
            member.model.to(device)  # pyright: ignore[reportArgumentType]
        return self

    @torch.no_grad()  # not inference_mode: losses may keep the scores for their backward pass
    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """z-normalised scores (M, B) on the device of the ids."""
        device = ids_BT.device
        # Without padding between prompt and completion, as the members were trained.
        rows = [
            (p[p_mask].tolist(), c[c_mask].tolist())
            for p, p_mask, c, c_mask in zip(
                prompt_ids_BP.cpu(), prompt_mask_BP.cpu().bool(), ids_BT.cpu(), mask_BT.cpu().bool(), strict=True
            )
        ]
        return torch.stack([member.z_scores(_raw_scores(member, rows)) for member in self.members]).to(device)

    def singles(self) -> list["Ensemble"]:
        """Each member as a scorer of its own, on the same model."""
        return [Ensemble([member], lambda scores_MB: scores_MB[0]) for member in self.members]

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        """(B,)"""
        return self._aggregate(member_scores_MB)


def _raw_scores(member: LoadedMember, rows: Sequence[tuple[list[int], list[int]]]) -> Tensor:
    if (t := member.translation) is not None:
        rows = [(translate_prompt(p, t.source, t.target), translate_completion(c, t.source, t.target)) for p, c in rows]
    return score_rows(member.model, [p + c for p, c in rows], ROWS_AT_A_TIME)


def load_ensemble(paths: Sequence[Path], num_members: int, aggregate: Callable[[Tensor], Tensor]) -> Ensemble:
    """The first `num_members` of `paths` must be all of them."""
    assert len(paths) == num_members, f"{num_members} members wanted, {len(paths)} given"
    return Ensemble([load_member(path) for path in paths], aggregate)
