"""Log-probabilities and entropies of tokens under a linear output head, with one chunk of logits in memory, learning too.

With z = (cap tanh(./cap) of) W s + b over a temperature, p = softmax(z) and H its entropy, a token's

    log p_y = z_y - logsumexp z      d log p_y / dz = e_y - p
    H = logsumexp z - sum p z        d H / dz       = -p (log p + H)

Autograd keeps several tensors of the size of a chunk to say this; here the backward pass makes the chunk's logits again, as a
checkpoint would, and turns them in place into the gradient that goes into W, b and s.

The loss is not known in the forward pass (PPO's weight of a token depends on its log-probability), so the gradient of W cannot
be made there. That of s can, since it is a row for each token: it is where W learns nothing, and then no logits are made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear


@dataclass(frozen=True)
class LinearHead:
    """W (V, D), b (V) or None, the temperature and Gemma-2's soft cap (None: none)."""

    weight: Tensor
    bias: Tensor | None
    temperature: float
    cap: float | None

    def logits(self, states_ND: Tensor) -> Tensor:
        """(N, V), in float32 or wider, as autocast rounds the product where it is on."""
        return self.bent(linear(states_ND, self.weight, self.bias))

    def bent(self, product_NV: Tensor) -> Tensor:
        """The product, which may be written over, as logits."""
        z_NV = product_NV if product_NV.dtype == torch.float64 else product_NV.float()
        if self.cap is not None:
            z_NV = z_NV.div_(self.cap).tanh_().mul_(self.cap)
        return z_NV if self.temperature == 1.0 else z_NV.div_(self.temperature)


def linear_head_of(model: Any, temperature: float) -> LinearHead | None:
    """What the output head of a causal LM computes; None where its weights are not at hand outside of its own call (hooks
    put them together), or it is more than a product (adapters)."""
    head = model.get_output_embeddings()
    if (
        type(head) is not nn.Linear
        or called_for(head)
        or "forward" in vars(head)
        or type(head.weight) is not nn.Parameter
    ):
        return None
    return LinearHead(head.weight, head.bias, temperature, getattr(model.config, "final_logit_softcapping", None))


def called_for(head: nn.Module) -> bool:
    """Whether something happens when `head` is called, beside its forward: ZeRO-3 puts its weights together."""
    return bool(head._forward_pre_hooks or head._forward_hooks)


def said_by_head(
    states_MD: Tensor, ids_M: Tensor, head: LinearHead, rows: int, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """log p (M) of the tokens and, if asked for, the entropies (M), `rows` tokens at a time."""
    logps_M, entropies_M = _Said.apply(
        states_MD, head.weight, head.bias, ids_M, head.temperature, head.cap, rows, entropy
    )
    return logps_M, entropies_M if entropy else None


class _Said(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states_MD, weight_VD, bias_V, ids_M, temperature, cap, rows, entropy):
        head = LinearHead(weight_VD, bias_V, temperature, cap)
        kind = states_MD.device.type
        ctx.head, ctx.rows, ctx.entropy = (temperature, cap), rows, entropy
        ctx.cast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        ctx.own = ctx.needs_input_grad[0] and not any(ctx.needs_input_grad[1:3])
        made = _pieces(head, states_MD, ids_M, rows, entropy, ctx.own)
        logps_M, normalisers_M, entropies_M, *slopes = (torch.cat(parts) for parts in zip(*made, strict=True))
        ctx.save_for_backward(states_MD, weight_VD, bias_V, ids_M, normalisers_M, entropies_M, *slopes)
        return logps_M, entropies_M

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        states_MD, weight_VD, bias_V, ids_M, normalisers_M, entropies_M, *slopes = ctx.saved_tensors
        to_logps_M, to_entropies_M = (g[:, None] for g in grads)
        if ctx.own:
            found_MD = to_logps_M * slopes[0]
            if ctx.entropy:
                found_MD = found_MD.addcmul_(to_entropies_M, slopes[1])
            return found_MD.to(states_MD.dtype), *[None] * 7
        wants_states, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        to_states = torch.empty_like(states_MD) if wants_states else None
        to_weight = torch.zeros_like(weight_VD) if wants_weight else None
        to_bias = torch.zeros_like(bias_V) if wants_bias else None
        head = LinearHead(weight_VD, bias_V, *ctx.head)
        kind = states_MD.device.type
        for part in _parts(len(ids_M), ctx.rows):
            with torch.autocast(kind, ctx.cast, enabled=ctx.cast is not None):
                product = linear(states_MD[part], weight_VD, bias_V)
            wide = product.dtype
            dz = _slope(
                head, head.bent(product), ids_M[part, None], normalisers_M[part, None], to_logps_M[part],
                (entropies_M[part, None], to_entropies_M[part]) if ctx.entropy else None,
            ).to(wide)  # fmt: skip
            del product
            if to_states is not None:
                to_states[part] = (dz @ weight_VD.to(wide)).to(to_states.dtype)
            if to_weight is not None:
                if to_weight.dtype == wide:
                    to_weight.addmm_(dz.T, states_MD[part].to(wide))
                else:
                    to_weight += dz.T @ states_MD[part].to(wide)
            if to_bias is not None:
                to_bias += dz.sum(0).to(to_bias.dtype)
        return to_states, to_weight, to_bias, *[None] * 5


def _parts(number: int, rows: int) -> Iterator[slice]:
    return (slice(start, start + rows) for start in range(0, number, rows))


def _pieces(
    head: LinearHead, states_MD: Tensor, ids_M: Tensor, rows: int, entropy: bool, slopes: bool
) -> Iterator[tuple[Tensor, ...]]:
    """Of each chunk log p, logsumexp z, H (zeros unless asked for), and with `slopes` d log p / ds and d H / ds (n, D)."""
    for part in _parts(len(ids_M), rows):
        z_NV, ids_N1 = head.logits(states_MD[part]), ids_M[part, None]
        normaliser_N1 = z_NV.logsumexp(-1, keepdim=True)
        logps_N1 = z_NV.gather(-1, ids_N1) - normaliser_N1
        entropies_N1 = torch.zeros_like(logps_N1)
        if entropy:
            entropies_N1 = normaliser_N1 - z_NV.softmax(-1).mul_(z_NV).sum(-1, keepdim=True)
        own: list[Tensor] = []
        if slopes:
            one, none = torch.ones_like(logps_N1), torch.zeros_like(logps_N1)
            weight_VD = head.weight.to(states_MD.dtype)
            if entropy:
                dz_NV = _slope(head, z_NV.clone(), ids_N1, normaliser_N1, none, (entropies_N1, one))
                own.append(dz_NV.to(states_MD.dtype) @ weight_VD)
                del dz_NV
            own.insert(0, _slope(head, z_NV, ids_N1, normaliser_N1, one, None).to(states_MD.dtype) @ weight_VD)
        yield logps_N1[:, 0], normaliser_N1[:, 0], entropies_N1[:, 0], *own


def _slope(
    head: LinearHead,
    z_NV: Tensor,
    ids_N1: Tensor,
    normaliser_N1: Tensor,
    to_logp_N1: Tensor,
    to_entropy: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """The gradient to W s + b (N, V), written over z: of log p times `to_logp`, and of H times the second of `to_entropy`,
    of which the first is H."""
    bend_NV = None
    if head.cap is not None:  # d cap tanh(x / cap) / dx = 1 - tanh^2
        bend_NV = (z_NV * (head.temperature / head.cap)).square_().neg_().add_(1.0)
    if to_entropy is None:
        dz_NV = z_NV.sub_(normaliser_N1).exp_().mul_(-to_logp_N1)
    else:
        logps_NV = z_NV.sub_(normaliser_N1)
        p_NV = logps_NV.exp()
        entropy_N1, weight_N1 = to_entropy
        dz_NV = logps_NV.add_(entropy_N1).mul_(weight_N1).add_(to_logp_N1).neg_().mul_(p_NV)
    dz_NV.scatter_add_(1, ids_N1, to_logp_N1.to(dz_NV.dtype))
    if bend_NV is not None:
        dz_NV.mul_(bend_NV)
    return dz_NV if head.temperature == 1.0 else dz_NV.div_(head.temperature)
