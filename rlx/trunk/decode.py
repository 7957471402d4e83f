"""A decode loop over a trunk: keys and values stay in place, and rows that have ended are dropped every few tokens.

Attention is asked in the way of transformers, padding and all: with sums in another order, one token of 30 thousand
was not `generate`'s.
Dimension letters as in rlx/trunk/packed.py; P columns of prompts, left-padded, S columns of keys and values so far.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rlx.trunk.family import completed, projected, turns
from rlx.trunk.packed import Packed

EVERY = 8  # tokens between looks for rows that have ended: dropping copies what is kept of the others
Choose = Callable[[Tensor, Tensor, int], Tensor]  # states (b, D), the b rows that are left, step -> tokens (b,)


class _Cache:
    """Keys and values of all layers, (b, K, P + num_tokens, E) each, row by row in the columns of the prompts and after them."""

    def __init__(self, trunk: Any, mask_BP: Tensor, num_tokens: int) -> None:
        config, attention = trunk.config, trunk.layers[0].self_attn
        shape = (len(mask_BP), config.num_key_value_heads, mask_BP.shape[1] + num_tokens, attention.head_dim)
        dtype = trunk.embed_tokens.weight.dtype
        self.keys = [torch.zeros(shape, dtype=dtype) for _ in trunk.layers]
        self.values = [torch.zeros(shape, dtype=dtype) for _ in trunk.layers]
        self.width = mask_BP.shape[1]
        # Padding before a prompt is read by nobody.
        self.read_B11S: Tensor | None = None
        if not mask_BP.all():
            self.read_B11S = torch.nn.functional.pad(mask_BP, (0, num_tokens), value=True)[:, None, None]
        self._rows_N, self._columns_N = mask_BP.nonzero(as_tuple=True)

    def keep(self, layer: int, keys_NKE: Tensor, values_NKE: Tensor) -> None:
        """The prompts' own."""
        self.keys[layer][self._rows_N, :, self._columns_N] = keys_NKE
        self.values[layer][self._rows_N, :, self._columns_N] = values_NKE

    def attended(self, layer: int, queries_BHE: Tensor, keys_BKE: Tensor, values_BKE: Tensor, scaling: float) -> Tensor:
        """(b, H * E): what one new token of each row gathers; its key and value go into the last column."""
        last = self.width - 1
        self.keys[layer][:, :, last], self.values[layer][:, :, last] = keys_BKE, values_BKE
        keys, values = self.keys[layer][:, :, : self.width], self.values[layer][:, :, : self.width]
        read = None if self.read_B11S is None else self.read_B11S[..., : self.width]
        queries = queries_BHE[:, :, None]
        if (groups := queries.shape[1] // keys.shape[1]) > 1:
            # The queries that share a head of keys and values stand as if they were tokens of one text.
            queries = queries_BHE.unflatten(1, (-1, groups))
        return scaled_dot_product_attention(queries, keys, values, read, scale=scaling).flatten(1)

    def only(self, kept_B: Tensor) -> None:
        """Drop the other rows."""
        for layers in (self.keys, self.values):
            for i, x in enumerate(layers):  # one at a time, so that no second cache stands in memory
                layers[i] = x[kept_B]
        self.read_B11S = None if self.read_B11S is None else self.read_B11S[kept_B]


@torch.no_grad()
def decode(trunk: Any, ids_BP: Tensor, mask_BP: Tensor, num_tokens: int, end_ids: Tensor, choose: Choose) -> None:
    """Let `choose` name up to `num_tokens` tokens after each of the left-padded prompts, until every row has one of
    `end_ids`. Rows that have ended may be asked for a few tokens more, which are theirs no longer.

    `own(trunk)` must be true, and every prompt has a token.
    """
    cache = _Cache(trunk, mask_BP, num_tokens)
    read_BP = torch.zeros_like(mask_BP)
    read_BP[:, -1] = True
    states_BD = Packed.in_place(ids_BP, mask_BP, read_BP).states(trunk, cache.keep)
    lengths_B, rows_B = mask_BP.sum(-1), torch.arange(len(ids_BP))
    cos_S1E, sin_S1E = turns(trunk, states_BD, torch.arange(ids_BP.shape[1] + num_tokens))
    ended_B = torch.zeros(len(ids_BP), dtype=torch.bool)
    for step in range(num_tokens):
        tokens_B = choose(states_BD, rows_B, step)
        ended_B = ended_B | torch.isin(tokens_B, end_ids)
        if step == num_tokens - 1 or bool(ended_B.all()):
            return
        if (step + 1) % EVERY == 0 and ended_B.any():
            kept = (~ended_B).nonzero().squeeze(-1)
            cache.only(kept)
            tokens_B, rows_B, lengths_B, ended_B = (x[kept] for x in (tokens_B, rows_B, lengths_B, ended_B))
        states_BD = _next(trunk, cache, tokens_B, cos_S1E[lengths_B + step], sin_S1E[lengths_B + step])


def _next(trunk: Any, cache: _Cache, tokens_B: Tensor, cos_B1E: Tensor, sin_B1E: Tensor) -> Tensor:
    """The states (b, D) after one more token of each row."""
    cache.width += 1
    x_BD = trunk.embed_tokens(tokens_B)
    for i, layer in enumerate(trunk.layers):
        queries, keys, values = projected(layer, layer.input_layernorm(x_BD), cos_B1E, sin_B1E)
        x_BD = completed(layer, x_BD, cache.attended(i, queries, keys, values, layer.self_attn.scaling))
    return trunk.norm(x_BD)
