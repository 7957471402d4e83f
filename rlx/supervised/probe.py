"""One score head for all members: a linear probe of the SFT trunk, fitted before any member is trained.

WARM (arXiv 2401.12187, section 2.2): members whose heads start apart are not linearly connected, and their average is
worse than any of them.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlx.artefact.store import Store
from rlx.model.probe import bradley_terry
from rlx.model.score_head import last_hidden, pack
from rlx.process import processes
from rlx.process.device import on_device
from rlx.process.progress import stage
from rlx.supervised.pairs import PreferencePairs, read
from rlx.supervised.reward_rows import PairRows, RewardRows
from rlx.supervised.sft import SFTPolicy

log = logging.getLogger(__name__)
BATCH_SIZE = 64


@dataclass(frozen=True)
class ScoreHead:
    """head.safetensors: `score.weight` (1, H) in float32."""

    VERSION: ClassVar[int] = 1

    policy: SFTPolicy  # whose trunk is probed
    pairs: PreferencePairs
    l2: float

    def build(self, directory: Path, store: Store, seed: int) -> None:
        pairs = read(store.fetch(self.pairs, seed) / "pairs.jsonl")
        trunk = self.policy.model.reward_trunk(store.fetch(self.policy, seed)).eval()
        rows = RewardRows(self.policy.model, [p.prompt for p in pairs])
        weight_H, accuracy = probe(trunk, rows.of_pairs(pairs), self.l2, self.pair_weights(store, seed))
        save_file({"score.weight": weight_H[None].float().contiguous()}, directory / "head.safetensors")
        (directory / "probe.json").write_text(
            json.dumps({"train_accuracy": accuracy, "pairs": len(pairs)}), encoding="utf-8"
        )

    def pair_weights(self, store: Store, seed: int) -> Tensor | None:
        """Return the weight of each pair (B,), of mean 1, or None where all count alike."""
        return None


def probe(trunk, pairs: PairRows, l2: float, weight_B: Tensor | None = None) -> tuple[Tensor, float]:
    """Return the probed head (H,) of `trunk` on `pairs`, and the share of them that it orders as labelled."""
    differences_BH = difference_features(trunk, pairs, "probe of the score head")
    weight_H = bradley_terry(differences_BH, l2, weight_B)
    return weight_H, share_in_order(differences_BH, weight_H)


def difference_features(trunk, pairs: PairRows, name: str) -> Tensor:
    """Return the last hidden state of the chosen less that of the rejected completions, (B, H) in float32 on the CPU.
    `name` is what the progress bar shows. Several processes read a share each, and all get the whole: they must all call
    this."""
    on_device(trunk)
    mine = processes.share(len(pairs.pairs))
    texts = [ids for both in zip(pairs.chosen[mine], pairs.rejected[mine], strict=True) for ids in both]
    features_H = [torch.zeros(0, trunk.score.weight.shape[1])]  # for a process without a share
    with stage(name, 2 * len(pairs.pairs)) as bar, torch.no_grad():
        for start in range(0, len(texts), BATCH_SIZE):
            part = texts[start : start + BATCH_SIZE]
            ids_BT, mask_BT = pack(part, trunk.config.pad_token_id)
            features_H.append(last_hidden(trunk, ids_BT.to(trunk.device), mask_BT.to(trunk.device)).float().cpu())
            bar.advance(len(part) * processes.size())
    both_H = torch.cat(features_H)
    return torch.cat(processes.gathered(both_H[::2] - both_H[1::2]))


def share_in_order(differences_BH: Tensor, weight_H: Tensor) -> float:
    """Return the share of pairs whose chosen completion the head `weight_H` scores higher."""
    return float((differences_BH.double() @ weight_H.double() > 0).double().mean())


def load_head(directory: Path) -> Tensor:
    """(1, H)"""
    return load_file(directory / "head.safetensors")["score.weight"]
