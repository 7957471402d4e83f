"""A trunk over real tokens alone: those of all rows side by side, padded for attention only.

Rows of different lengths stand left-aligned before attention, so that a causal one needs no mask: what pads them lies
behind every token that reads. Dimension letters: B rows, T columns as they are given, L tokens of the longest row,
N real tokens of all rows, R of them that somebody reads, D of states, H and K heads (of queries; of keys and values),
E of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rlx.trunk.family import completed, projected, turns

KeysAndValues = Callable[[int, Tensor, Tensor], None]  # of a layer, (N, K, E) each


@dataclass(frozen=True)
class Packed:
    """B rows of ids, without their padding. `places_N`: where each token stands among B * L for attention; `reads_R`: whose
    states are wanted, all where None; `mask_B1LL`, bool: who reads whom, those before and itself where None."""

    ids_N: Tensor
    positions_N: Tensor
    places_N: Tensor
    shape: tuple[int, int]  # B, L
    reads_R: Tensor | None
    mask_B1LL: Tensor | None = None

    @classmethod
    def rows(cls, ids_BT: Tensor, mask_BT: Tensor, read_BT: Tensor | None = None) -> "Packed":
        """The tokens of a bool mask. `read_BT`, bool: those whose states are wanted."""
        lengths_B = mask_BT.sum(-1)
        longest = int(lengths_B.max())
        real_N = mask_BT.flatten().nonzero().squeeze(-1)
        positions_BL = torch.arange(longest).expand(len(ids_BT), -1)
        places_N = (positions_BL < lengths_B[:, None]).flatten().nonzero().squeeze(-1)
        return cls(
            ids_N=ids_BT.flatten()[real_N],
            positions_N=positions_BL.flatten()[places_N],
            places_N=places_N,
            shape=(len(ids_BT), longest),
            reads_R=None if read_BT is None else read_BT.flatten()[real_N].nonzero().squeeze(-1),
        )

    @classmethod
    def in_place(cls, ids_BT: Tensor, mask_BT: Tensor, read_BT: Tensor) -> "Packed":
        """As `rows`, but attention gets the columns as they are given and a mask: slower, and to the bit what
        transformers makes of padded rows."""
        found = cls.rows(ids_BT, mask_BT, read_BT)
        if bool(mask_BT.all()):
            return found
        causal_TT = torch.ones(mask_BT.shape[1], mask_BT.shape[1]).tril().bool()
        places_N = mask_BT.flatten().nonzero().squeeze(-1)
        return replace(
            found, places_N=places_N, shape=tuple(ids_BT.shape), mask_B1LL=mask_BT[:, None, None] & causal_TT
        )

    def states(self, trunk: Any, keep: KeysAndValues | None = None) -> Tensor:
        """Last hidden states (N, D) of a trunk that `own` says yes to, or (R, D) of the tokens that are read. `keep` gets each
        layer's keys and values."""
        x_ND = trunk.embed_tokens(self.ids_N)
        cos_N1E, sin_N1E = turns(trunk, x_ND, self.positions_N)
        for i, layer in enumerate(trunk.layers):
            queries, keys, values = projected(layer, layer.input_layernorm(x_ND), cos_N1E, sin_N1E)
            if keep is not None:
                keep(i, keys, values)
            attended_ND = self._attended(queries, keys, values, layer.self_attn.scaling)
            if self.reads_R is not None and layer is trunk.layers[-1]:  # nobody attends to what this layer makes
                x_ND, attended_ND = (x.index_select(0, self.reads_R) for x in (x_ND, attended_ND))
            x_ND = completed(layer, x_ND, attended_ND)
        return trunk.norm(x_ND)

    def _attended(self, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """(N, H * E): what each token gathers from those before it in its row and from itself."""
        groups = queries.shape[1] // keys.shape[1]
        q, k, v = (self._aligned(x) for x in (queries, keys, values))
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mask = self.mask_B1LL
        out_BHLE = scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, scale=scaling)
        flat = out_BHLE.transpose(1, 2).flatten(0, 1).flatten(1)
        return flat if len(self.places_N) == len(flat) else flat.index_select(0, self.places_N)

    def _aligned(self, x_NHE: Tensor) -> Tensor:
        """(B, heads, L, E), with 0 where a row is shorter."""
        if len(x_NHE) < self.shape[0] * self.shape[1]:
            whole = x_NHE.new_zeros(self.shape[0] * self.shape[1], *x_NHE.shape[1:])
            x_NHE = whole.index_copy(0, self.places_N, x_NHE)
        return x_NHE.unflatten(0, self.shape).transpose(1, 2)
