"""What a causal LM's output head says of completions, with no more than a chunk of its logits in memory at once.

The logits of 8 completions of 256 tokens over 128 thousand words are a gigabyte, and the loss and its gradient are several
times that. Nobody reads them but for a few numbers a token, so these are computed for a chunk of tokens at a time, and the
chunk's logits are computed again in the backward pass: by `linear_head` where the head is a product, else by autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.checkpoint import checkpoint

from rlx.model.linear_head import LinearHead, called_for, said_by_head

CHUNK = 2**25  # logits at once: 134 MB in fp32, 256 tokens of 128 thousand words. All at once where there are no more


T = TypeVar("T")
Project = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ReferenceLogits:
    """Another model's view of the same tokens, and what is to be measured of both.

    states_BTD: its last hidden states. `measure`: log-probabilities of every next token, the policy's and the other's,
    (..., V) and (..., V) -> (...).
    """

    states_BTD: Tensor
    model: Any
    temperature: float
    measure: Callable[[Tensor, Tensor], Tensor]

    def logps(self, states: Tensor, head: Module, project: Project) -> Tensor:
        """The other's log-probabilities of every next token, (..., D) -> (..., V), without gradients; by `project` where its
        head is the policy's own `head`."""
        own = self.model.get_output_embeddings() is head
        with torch.no_grad():
            return self.model.next_token_logits(states, self.temperature, project if own else None).log_softmax(-1)


def inside(head: Module, compute: Callable[[Tensor, Project], T], states: Tensor) -> T:
    """compute(states, what `head` computes), within one call of `head` where hooks put its weights together (ZeRO-3): they
    then run once, and once in every process, however many chunks its own completions make."""
    if not called_for(head):
        return compute(states, head)
    project, patched = head.forward, "forward" in vars(head)
    head.forward = lambda states: compute(states, project)
    try:
        return head(states)
    finally:
        if patched:
            head.forward = project
        else:
            del head.forward


def logits_of(model: Any, states: Tensor, project: Project | None = None) -> Tensor:
    """What the output head (or `project` in its place) makes of last hidden states (..., D): logits (..., V) in fp32, with
    Gemma-2's soft-capping, which transformers applies outside the head."""
    logits = (project or model.get_output_embeddings())(states).float()
    if (cap := getattr(model.config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits


@torch.no_grad()
def says_its_logits(model: Any) -> bool:
    """Whether the logits of a causal LM are what `logits_of` makes of its hidden states, so that chunks of them are the
    model's own. Architectures scale or bend them outside the head in ways of their own, under names that mean one thing
    here and its inverse there: asking the model is the only way to know."""
    ids_BT = torch.arange(4, device=model.device)[None]
    own = model(input_ids=ids_BT, use_cache=False).logits.float()
    ours = logits_of(model, model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state)
    return own.shape == ours.shape and bool((own - ours).abs().max() <= 0.02 * own.abs().max())  # bfloat16 has 8 bits


def token_logps(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    """log softmax(logits)[ids], (B, T), without standing a second (B, T, V) tensor in memory."""
    return logits_BTV.gather(-1, ids_BT[..., None]).squeeze(-1) - logits_BTV.logsumexp(-1)


def token_entropies(logits_BTV: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits), (B, T): logsumexp(z) - sum softmax(z) z."""
    return logits_BTV.logsumexp(-1) - (logits_BTV.softmax(-1) * logits_BTV).sum(-1)


def said_of_tokens(
    logits: Project,
    states_BTD: Tensor,
    ids_BT: Tensor,
    vocabulary: int,
    entropy: bool,
    against: tuple[ReferenceLogits, Project] | None,
    linear: LinearHead | None = None,
) -> dict[str, Tensor]:
    """{"logps", "entropies"?, "compared"?}, each (B, T), of the tokens `ids` that follow the states. `logits` is the
    head, (..., D) -> (..., V) in fp32; no more than CHUNK of its numbers stand in memory. `against`: with its log-probabilities
    as a function of its states. `linear`: what `logits` computes, where it is a product of numbers that are at hand."""

    def said(states: Tensor, ids: Tensor, other: Tensor | None) -> tuple[Tensor, ...]:
        own = logits(states)
        found = [token_logps(own, ids)]
        if entropy:
            found.append(token_entropies(own))
        if against is not None:
            assert other is not None
            found.append(against[0].measure(own.log_softmax(-1), against[1](other)))
        return tuple(found)

    names = ["logps"] + ["entropies"] * entropy + ["compared"] * (against is not None)
    other_BTD = None if against is None else against[0].states_BTD
    num = max(1, CHUNK // vocabulary)
    if ids_BT.numel() <= num:
        return dict(zip(names, said(states_BTD, ids_BT, other_BTD), strict=True))
    if linear is not None and against is None:
        logps, entropies = said_by_head(states_BTD.flatten(0, 1), ids_BT.flatten(), linear, num, entropy)
        found = [logps] if entropies is None else [logps, entropies]
        return {name: x.view(ids_BT.shape) for name, x in zip(names, found, strict=True)}
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
