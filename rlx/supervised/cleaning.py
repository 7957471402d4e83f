"""A weight for every preference pair, by a `cleaner=` choice on fixed features, and what tells whether to believe it.

Beside the weights stand the baselines that cost nothing on the same features: what a linear score reaches on held-out
pairs when it is fitted to all labels, to the trusted pairs alone, to both, to what the small-loss rule keeps, to the weighed
pairs, and to what an oracle keeps; a mean over resampled pairs; and how well each ranking finds the flipped labels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlx.artefact.store import Store, canonical
from rlx.cleaner.small_loss import without_largest_losses
from rlx.core.cleaner import Cleaner, PairEvidence
from rlx.core.error import UserError
from rlx.core.seed import seed_of
from rlx.model.probe import bradley_terry
from rlx.model.score_head import load_reward_model
from rlx.process.progress import stage
from rlx.supervised.accuracy import credit, share
from rlx.supervised.flips_found import f1_of_kept, histogram, prior_f1, ranking
from rlx.supervised.pairs import Preference, PreferencePairs, read
from rlx.supervised.probe import difference_features
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.reward_rows import RewardRows
from rlx.supervised.sft import SFTPolicy
from rlx.supervised.trusted import TrustedPairs

NUM_SHOWN = 8  # most distrusted pairs, with their texts
NUM_RESAMPLED = 4  # scores in the mean ensemble on the same features


@dataclass(frozen=True)
class PairWeights:
    """weights.safetensors: "weights" (B,) in [0, 1], a weight for each training pair; weights.jsonl: the same with the
    pairs' prompt ids and whether they were flipped; cleaning.json: see `measured`."""

    VERSION: ClassVar[int] = 1

    pairs: PreferencePairs
    trusted: TrustedPairs
    source: SFTPolicy | RewardMember  # whose hidden states are the features
    cleaner: Cleaner

    def build(self, directory: Path, store: Store, seed: int) -> None:
        path = store.fetch(self.pairs, seed)
        pairs, heldout = read(path / "pairs.jsonl"), read(path / "heldout.jsonl")
        trusted = read(store.fetch(self.trusted, seed) / "trusted.jsonl")
        parts = self._features([pairs, trusted, heldout], store, seed)
        flipped_B = torch.tensor([pair.flipped for pair in pairs])
        evidence = PairEvidence(parts[0], parts[1], flipped_B, seed)
        with stage("pair weights", self.cleaner.num_steps) as bar:
            weight_B = self.cleaner.weights(evidence, bar.advance)
        if not weight_B.sum() > 0:
            raise UserError(
                "cleaner: every pair has weight 0, so that nothing is left to train on; lower cleaner.weight_step"
            )
        save_file({"weights": weight_B.contiguous()}, directory / "weights.safetensors")
        with (directory / "weights.jsonl").open("w", encoding="utf-8") as file:
            for pair, weight in zip(pairs, weight_B.tolist(), strict=True):
                file.write(json.dumps({"prompt_id": pair.prompt.id, "weight": weight, "flipped": pair.flipped}) + "\n")
        probes = linear_scores(evidence, weight_B, self.cleaner.l2)
        told = measured(evidence, weight_B, probes) | {
            "cleaner": canonical(self.cleaner),
            "heldout": {name: accuracy(parts[2], y_H, heldout) for name, y_H in probes.items()},
            "most_distrusted": most_distrusted(pairs, weight_B),
        }
        (directory / "cleaning.json").write_text(
            json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False), encoding="utf-8"
        )

    def of_mean_one(self, store: Store, seed: int) -> Tensor:
        """Return the weights divided by their mean, (B,): the loss keeps the scale that learning rate and gradient clipping
        were chosen for."""
        weight_B = load_file(store.fetch(self, seed) / "weights.safetensors")["weights"]
        return weight_B / weight_B.mean()

    def _features(self, parts: Sequence[Sequence[Preference]], store: Store, seed: int) -> list[Tensor]:
        """Differences (B, H) of each part in float64, scaled by the root mean square over the first part."""
        model = self.source.model
        path = store.fetch(self.source, seed)
        trunk = load_reward_model(path) if isinstance(self.source, RewardMember) else model.reward_trunk(path).eval()
        rows = RewardRows(model, [pair.prompt for part in parts for pair in part])
        found = [difference_features(trunk, rows.of_pairs(part), "features of pairs").double() for part in parts]
        scale_H = found[0].square().mean(0).sqrt()
        return [part / torch.where(scale_H > 0, scale_H, 1.0) for part in found]


def linear_scores(evidence: PairEvidence, weight_B: Tensor, l2: float) -> dict[str, Tensor]:
    """Return what is fitted to the same features (H,), by name. "oracle" and "small_loss", which drops as many pairs as
    were flipped, are there where labels were flipped."""
    differences_BH, trusted_TH, flipped_B = evidence.differences_BH, evidence.trusted_TH, evidence.flipped_B
    noisy_H = bradley_terry(differences_BH, l2)
    generator = torch.Generator().manual_seed(seed_of("resampled pairs", evidence.seed))
    number = len(differences_BH)
    resampled = [
        bradley_terry(differences_BH[torch.randint(number, (number,), generator=generator)], l2)
        for _ in range(NUM_RESAMPLED)
    ]
    found = {
        "noisy": noisy_H,
        "trusted": bradley_terry(trusted_TH, l2),
        "noisy_and_trusted": bradley_terry(torch.cat([differences_BH, trusted_TH]), l2),
        # Every member's differences divided by their spread, as ensembles of reward models are.
        "ensemble": torch.stack([y_H / (differences_BH @ y_H).std() for y_H in resampled]).mean(0),
        "cleaned": bradley_terry(differences_BH, l2, weight_B / weight_B.mean()),
    }
    if flipped_B.any():
        kept_B = without_largest_losses(differences_BH @ noisy_H, float(flipped_B.double().mean())) > 0
        found["small_loss"] = bradley_terry(differences_BH[kept_B], l2)
        found["oracle"] = bradley_terry(differences_BH[~flipped_B], l2)
    return found


def measured(evidence: PairEvidence, weight_B: Tensor, probes: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the counts, the weights in numbers, and under "flips" how well the weights, the small loss, and the loss under
    the scores fitted to the trusted pairs and by the oracle find flipped labels; None where none was flipped."""
    flipped_B = evidence.flipped_B.numpy()
    weights_B = weight_B.numpy()
    told: dict[str, Any] = {
        "pairs": len(flipped_B),
        "trusted": len(evidence.trusted_TH),
        "flipped": int(flipped_B.sum()),
        "weights": {
            "mean": float(weight_B.mean()),
            "below_half": int((weight_B < 0.5).sum()),
            # (sum w)^2 / sum w^2, Kish's effective number of pairs
            "effective_pairs": float(weight_B.sum() ** 2 / weight_B.square().sum()),
        },
        "histogram": histogram(weights_B, flipped_B),
        "flips": None,
    }
    if 0 < flipped_B.sum() < len(flipped_B):
        margins = {name: (evidence.differences_BH @ probes[of]).numpy() for name, of in RANKINGS.items()}
        told["flips"] = {
            "prior_f1": prior_f1(flipped_B),
            "weights": ranking(weights_B, flipped_B) | {"f1": f1_of_kept(weights_B, flipped_B)},
            **{name: ranking(margin_B, flipped_B) for name, margin_B in margins.items()},
        }
    return told


RANKINGS = {"small_loss": "noisy", "trusted_loss": "trusted", "oracle_loss": "oracle"}  # name -> by whose margin


def accuracy(differences_BH: Tensor, y_H: Tensor, pairs: Sequence[Preference]) -> dict[str, float | None]:
    """Return the share of `pairs` that the score y orders as labelled, with its 95 % interval over prompts."""
    margins_B = (differences_BH @ y_H).tolist()
    found = share(credit(margins_B, [0.0] * len(margins_B)), [pair.prompt.id for pair in pairs])
    assert found is not None
    return asdict(found)


def most_distrusted(pairs: Sequence[Preference], weight_B: Tensor) -> list[dict[str, Any]]:
    """Return the NUM_SHOWN pairs of least weight with their texts, least first."""
    order = weight_B.argsort(stable=True)[:NUM_SHOWN].tolist()
    return [
        {
            "prompt": pairs[i].prompt.text,
            "chosen": pairs[i].chosen.text,
            "rejected": pairs[i].rejected.text,
            "weight": float(weight_B[i]),
            "flipped": pairs[i].flipped,
        }
        for i in order
    ]
