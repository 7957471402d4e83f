"""A completion with every coalition of factor groups kept: the texts, and equal ones once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlx.core.world import FactorWorld, without_factors


def coalition_texts(world: FactorWorld, text: str, kept_SG: Tensor) -> list[str]:
    """Return `text` with the words of the groups that each of S coalitions keeps. `kept_SG`: bool, in the world's order."""
    pieces = world.factor_pieces(text)
    lost = [
        {group for group, kept in zip(world.factor_groups, kept_G, strict=True) if not kept}
        for kept_G in kept_SG.tolist()
    ]
    return [without_factors(pieces, gone) for gone in lost]


def numbered(keys_SB: Sequence[Sequence[tuple[int, str]]]) -> tuple[list[tuple[int, str]], Tensor]:
    """Return the distinct keys of a matrix in the order in which its rows name them, and the place (S, B) of each entry
    among them."""
    places: dict[tuple[int, str], int] = {}
    places_SB = torch.tensor([[places.setdefault(key, len(places)) for key in keys_B] for keys_B in keys_SB])
    return list(places), places_SB
