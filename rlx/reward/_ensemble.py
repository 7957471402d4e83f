"""Reward-model members behind the scorer's interface: each scores all completions on its own z-scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.paper import Paper
from rlx.core.reward import ROWS, Sources
from rlx.model.score_head import RewardModel, load_reward_model, score_rows, shared_scores
from rlx.model.tokens import translate_completion, translate_prompt
from rlx.process import processes
from rlx.process.device import on_device

COSTE = Paper("Reward Model Ensembles Help Mitigate Overoptimization", "Coste, Thomas and others", 2023, "2310.02743")
ROWS_ON_CPU = 16  # small batches are faster there than large ones


@dataclass(frozen=True)
class Translation:
    """Where the member reads another tokenizer's ids than the policy writes."""

    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedMember:
    """A reward model, the mean and spread of its raw scores on the reference set, and that set's ids."""

    model: RewardModel
    mean: float
    std: float
    reference: list[list[int]]
    translation: Translation | None

    def z_scores(self, raw: Tensor) -> Tensor:
        return (raw - self.mean) / self.std

    def reference_scores(self, at_once: int, shared: bool = True) -> Tensor:
        """Raw scores of the reference set, asked on the device, in double precision. `shared`: by all processes, which then
        must all ask; where a process holds members of its own, it asks them alone."""
        ask = shared_scores if shared else score_rows
        return ask(on_device(self.model), self.reference, at_once).double()

    def normalised(self, at_once: int) -> "LoadedMember":
        """The same model on the scale of its own scores on the reference set, measured now (its weights are new)."""
        mean, std = _mean_and_std(self.reference_scores(at_once))
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
    """M members and how their z-scores become one number, itself z-normalised. Implements `rlx.core.scorer.Scorer`.

    The proxy is (aggregate - mean) / std with the aggregate's mean and standard deviation over the reference set: without
    it a mean or a minimum would be narrower than one member, and one beta would mean another strength for each reward.
    """

    def __init__(
        self,
        members: Sequence[LoadedMember],
        aggregate: Callable[[Tensor], Tensor],
        mean: float,
        std: float,
        rows: int = ROWS,
    ) -> None:
        """`rows`: completions in one forward pass; no more than ROWS_ON_CPU on a CPU."""
        self.members, self._aggregate, self.mean, self.std, self.rows = members, aggregate, mean, std, rows
        self.num_members = len(members)

    @property
    def raw_std(self) -> float:
        """The mean of the members' raw standard deviations times that of the aggregate of z-scores: exact for one model,
        and for the mean of members with one raw standard deviation; a convention for any other aggregate."""
        return self.std * sum(member.std for member in self.members) / len(self.members)

    def to(self, device: torch.device | str) -> "Ensemble":
        """Moves the members; returns self."""
        for member in self.members:
            member.model.to(device)  # pyright: ignore[reportArgumentType]
        return self

    @torch.no_grad()  # not inference_mode: losses may keep the scores for their backward pass
    def member_scores(self, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """z-normalised scores (M, B) on the device of the ids."""
        device = ids_BT.device
        rows = unpadded(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT)
        scores = [member.z_scores(raw_scores(member, rows, self.rows)) for member in self.members]
        return torch.stack(scores).to(device)

    def singles(self) -> list["Ensemble"]:
        """Each member as a scorer of its own, on the same model."""
        return [single_model(member, self.rows) for member in self.members]

    def aggregate(self, member_scores_MB: Tensor) -> Tensor:
        """(B,)"""
        return (self._aggregate(member_scores_MB) - self.mean) / self.std


def only(scores_MB: Tensor) -> Tensor:
    """The scores (B,) of the one member there is."""
    assert len(scores_MB) == 1, f"one member wanted, {len(scores_MB)} given"
    return scores_MB[0]


def single_model(member: LoadedMember, rows: int) -> Ensemble:
    """One model, which is on its own scale already; `rows` as of `Ensemble`."""
    return Ensemble([member], only, 0.0, 1.0, rows)


def unpadded(
    prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, ids_BT: Tensor, mask_BT: Tensor
) -> list[tuple[list[int], list[int]]]:
    """Return the ids of each prompt and of its completion, without the padding between them, as the members were trained."""
    return [
        (p[p_mask].tolist(), c[c_mask].tolist())
        for p, p_mask, c, c_mask in zip(
            prompt_ids_BP.cpu(), prompt_mask_BP.cpu().bool(), ids_BT.cpu(), mask_BT.cpu().bool(), strict=True
        )
    ]


def raw_scores(member: LoadedMember, rows: Sequence[tuple[list[int], list[int]]], at_once: int) -> Tensor:
    """Return the raw scores (B,) of `rows` by one member, at most `at_once` in a forward pass."""
    if (t := member.translation) is not None:
        rows = [(translate_prompt(p, t.source, t.target), translate_completion(c, t.source, t.target)) for p, c in rows]
    at_once = min(at_once, ROWS_ON_CPU) if member.model.device.type == "cpu" else at_once
    return score_rows(member.model, [p + c for p, c in rows], at_once)


def load_ensemble(sources: Sources, aggregate: Callable[[Tensor], Tensor]) -> Ensemble:
    """All members, their aggregate put on the scale of its own scores on the reference set, measured now; of a single
    member the aggregate is that member, which has its scale. Raises UserError where the aggregate has no spread."""
    if sources.placed and len(sources.members) > 1 and processes.size() > 1:
        from rlx.reward._placed import PlacedEnsemble

        return PlacedEnsemble(sources, aggregate)
    members = [load_member(path) for path in sources.members]
    if len(members) == 1:
        return Ensemble(members, aggregate, 0.0, 1.0, sources.rows)
    scores_MB = torch.stack([m.z_scores(m.reference_scores(sources.rows)) for m in members])
    return Ensemble(members, aggregate, *scale_of(aggregate(scores_MB)), sources.rows)


def scale_of(aggregates_B: Tensor) -> tuple[float, float]:
    """Return the mean and the standard deviation of an aggregate over the reference set. Raises UserError where it has no
    spread."""
    mean, std = _mean_and_std(aggregates_B)
    if not std > 0:
        raise UserError("reward: the members together give every reference completion one score; nothing to climb")
    return mean, std


def _mean_and_std(scores_B: Tensor) -> tuple[float, float]:
    return float(scores_B.mean()), float(scores_B.std(correction=0))
