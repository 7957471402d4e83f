"""The states that a completion's tokens are drawn from, and what is said of them: of real tokens alone where rlx computes the
trunk, of all columns where transformers does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rlx.trunk.family import own
from rlx.trunk.packed import Packed


class Places(Protocol):
    """The tokens of B completions of T columns that something is said of: (B, T) or, of real ones alone, (1, R)."""

    def states(self, trunk: Any) -> Tensor:
        """What `trunk` makes of the text before each of the tokens, (B, T, D) or (1, R, D)."""
        ...

    def of(self, x: Tensor) -> Tensor:
        """The tokens' own part of (B, T, ...)."""
        ...

    def spread(self, x: Tensor) -> Tensor:
        """What is said of the tokens as (B, T, ...), 0 elsewhere."""
        ...


def places_of(ids_BT: Tensor, mask_BT: Tensor, length: int, trunks: Sequence[Any]) -> Places:
    """Of the last `length` columns of prompts and completions, for `trunks` of one architecture."""
    real_BT = mask_BT.bool()
    tokens_BT, before_BT = real_BT[:, -length:], real_BT[:, -length - 1 : -1]
    if length < real_BT.shape[1] and all(map(own, trunks)) and not (tokens_BT & ~before_BT).any():
        return _Real.among(ids_BT, real_BT, length)
    return _Columns(ids_BT, mask_BT, length)


@dataclass(frozen=True)
class _Columns:
    """All of them, by transformers."""

    ids_BT: Tensor
    mask_BT: Tensor
    length: int

    def states(self, trunk: Any) -> Tensor:
        # Absolute positions (GPT-2 style) count real tokens only, whatever the padding on the left.
        places_BT = (self.mask_BT.cumsum(-1) - 1).clamp(min=0)
        inputs = {"input_ids": self.ids_BT, "attention_mask": self.mask_BT, "position_ids": places_BT}
        return trunk(**inputs, use_cache=False).last_hidden_state[:, -self.length - 1 : -1]

    def of(self, x: Tensor) -> Tensor:
        return x

    def spread(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class _Real:
    """Those of the mask, by rlx. `read_BT` are the tokens, in their columns."""

    packed: Packed
    read_BT: Tensor
    places_R: Tensor  # in the flattened (B, T)

    @classmethod
    def among(cls, ids_BT: Tensor, real_BT: Tensor, length: int) -> "_Real":
        read_BT = real_BT[:, -length:]
        # A row's last token is predicted, and predicts nothing that is read.
        inner_BT, before_BT = real_BT.clone(), torch.zeros_like(real_BT)
        inner_BT[:, :-1] &= real_BT[:, 1:]
        inner_BT[:, -1] = False
        before_BT[:, -length - 1 : -1] = read_BT
        return cls(Packed.rows(ids_BT, inner_BT, before_BT), read_BT, read_BT.flatten().nonzero().squeeze(-1))

    def states(self, trunk: Any) -> Tensor:
        return self.packed.states(trunk)[None]

    def of(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1).index_select(0, self.places_R)[None]

    def spread(self, x: Tensor) -> Tensor:
        whole = x.new_zeros(self.read_BT.numel(), *x.shape[2:])
        return whole.index_copy(0, self.places_R, x[0]).unflatten(0, self.read_BT.shape)
