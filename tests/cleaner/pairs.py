"""Synthetic pairs as differences of features, with flipped labels: a linear score orders most of them."""

import torch

from rlx.core.cleaner import PairEvidence


def evidence(noise: float = 0.3, num_pairs: int = 400, num_trusted: int = 100, seed: int = 0) -> PairEvidence:
    """8 features, of which a steep linear score orders the pairs: d . w > 0 for nearly all, before labels are flipped."""
    generator = torch.Generator().manual_seed(seed)
    differences = torch.randn(num_pairs + num_trusted, 8, dtype=torch.float64, generator=generator)
    score = torch.linspace(1, 2, 8, dtype=torch.float64)
    right = torch.rand(len(differences), dtype=torch.float64, generator=generator) < torch.sigmoid(
        2 * differences @ score
    )
    differences = torch.where(right[:, None], differences, -differences)
    flipped = torch.zeros(num_pairs, dtype=torch.bool)
    flipped[torch.randperm(num_pairs, generator=generator)[: round(noise * num_pairs)]] = True
    train = torch.where(flipped[:, None], -differences[:num_pairs], differences[:num_pairs])
    return PairEvidence(train, differences[num_pairs:], flipped, seed)


def nothing() -> None:
    """No progress to show."""
