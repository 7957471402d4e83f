"""What a causal LM's output head says of completions, with no more than a chunk of its logits in memory at once.

The logits of 8 completions of 256 tokens over 128 thousand words are a gigabyte, and the loss and its gradient are several
times that. Nobody reads them but for a few numbers a token, so these are computed for a chunk of tokens at a time, and the
chunk's logits are computed again in the backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 2**25  # logits at once: 134 MB in fp32, 256 tokens of 128 thousand words. All at once where there are no more


@dataclass(frozen=True)
class Against:
    """Another model's view of the same tokens, and what is to be measured of both.

    states_BTD: its last hidden states. `logits`: its head, (..., D) -> (..., V). `measure`: log-probabilities of every next
    token, the policy's and the other's, (..., V) and (..., V) -> (...).
    """

    states_BTD: Tensor
    logits: Callable[[Tensor], Tensor]
    measure: Callable[[Tensor, Tensor], Tensor]


def token_logps(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    """log softmax(logits)[ids], (B, T), without standing a second (B, T, V) tensor in memory."""
    return logits_BTV.gather(-1, ids_BT[..., None]).squeeze(-1) - logits_BTV.logsumexp(-1)


def token_entropies(logits_BTV: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits), (B, T): logsumexp(z) - sum softmax(z) z."""
    return logits_BTV.logsumexp(-1) - (logits_BTV.softmax(-1) * logits_BTV).sum(-1)


def said_of_tokens(
    logits: Callable[[Tensor], Tensor],
    states_BTD: Tensor,
    ids_BT: Tensor,
    vocabulary: int,
    entropy: bool,
    against: Against | None,
) -> dict[str, Tensor]:
    """{"logps", "entropies"?, "compared"?}, each (B, T), of the tokens `ids` that follow the states. `logits` is the
    head, (..., D) -> (..., V) in fp32; no more than CHUNK of its numbers stand in memory."""

    def said(states: Tensor, ids: Tensor, other: Tensor | None) -> tuple[Tensor, ...]:
        own = logits(states)
        found = [token_logps(own, ids)]
        if entropy:
            found.append(token_entropies(own))
        if against is not None:
            assert other is not None
            with torch.no_grad():
                theirs = against.logits(other).log_softmax(-1)
            found.append(against.measure(own.log_softmax(-1), theirs))
        return tuple(found)

    names = ["logps"] + ["entropies"] * entropy + ["compared"] * (against is not None)
    other_BTD = None if against is None else against.states_BTD
    num = max(1, CHUNK // vocabulary)
    if ids_BT.numel() <= num:
        return dict(zip(names, said(states_BTD, ids_BT, other_BTD), strict=True))
    parts = zip(
        states_BTD.flatten(0, 1).split(num),
        ids_BT.flatten().split(num),
        [None] * -(-ids_BT.numel() // num) if other_BTD is None else other_BTD.flatten(0, 1).split(num),
        strict=True,
    )
    if torch.is_grad_enabled():
        found = [checkpoint(said, *part, use_reentrant=False) for part in parts]
    else:
        found = [said(*part) for part in parts]
    return {name: torch.cat(x).view(ids_BT.shape) for name, x in zip(names, zip(*found, strict=True), strict=True)}
