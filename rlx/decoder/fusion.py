"""Dynamic logit fusion (arXiv 2406.15480): at each token, as much of a small expert's change as moves the large policy as
far, in KL, as training moved the small one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.decoder import DecodedPolicy
from rlx.core.numbers import NonNegative, Positive
from rlx.core.paper import Paper

GRID = 21  # points that a chunk is made for: the paper's
CHUNK = 2**22  # numbers at once: rows x grid x a part of the vocabulary, 17 MB in fp32


def tilt_divergences(logits_NV: Tensor, shift_NV: Tensor, alphas: Sequence[float]) -> tuple[Tensor, Tensor]:
    """KL(F || P) and KL(P || F), each (N, A), of P = softmax(logits) and F_a = softmax(logits + a shift) for every a.

    With Z(a) = log E_P e^(a shift): KL(F || P) = a E_F[shift] - Z(a) and KL(P || F) = Z(a) - a E_P[shift]. The shift is
    centred on E_P[shift] first, for which Z(a) is the second divergence. Both are 0 at a = 0. They take one pass over the
    vocabulary, a chunk of it at a time with a running maximum, so that rows x grid x vocabulary never stand in memory.
    """
    logps_NV = logits_NV.log_softmax(-1)
    shift_NV = shift_NV - (logps_NV.exp() * shift_NV).sum(-1, keepdim=True)
    alphas_A = torch.tensor(alphas, dtype=logps_NV.dtype, device=logps_NV.device)
    num_rows, num_alphas = len(logps_NV), len(alphas)
    peak_NA = logps_NV.new_full((num_rows, num_alphas), -torch.inf)
    mass_NA, moment_NA = torch.zeros_like(peak_NA), torch.zeros_like(peak_NA)
    width = max(1, CHUNK // (GRID * max(1, num_rows)))  # whatever the grid, so that equal tilts round alike
    for logps_NC, shift_NC in zip(logps_NV.split(width, -1), shift_NV.split(width, -1), strict=True):
        terms_NAC = torch.addcmul(logps_NC[:, None], alphas_A[:, None], shift_NC[:, None])
        higher_NA = torch.maximum(peak_NA, terms_NAC.amax(-1))
        old_NA = (peak_NA - higher_NA).exp()
        terms_NAC.sub_(higher_NA[..., None]).exp_()
        mass_NA = mass_NA * old_NA + terms_NAC.sum(-1)
        moment_NA = moment_NA * old_NA + terms_NAC.mul_(shift_NC[:, None]).sum(-1)
        peak_NA = higher_NA
    z_NA = mass_NA.log() + peak_NA
    moved_NA = alphas_A * moment_NA / mass_NA - z_NA
    # Nothing moves there; rounding would say otherwise.
    still_NA = (alphas_A == 0) | (shift_NV.amax(-1) == shift_NV.amin(-1))[:, None]
    return moved_NA.masked_fill(still_NA, 0.0).clamp(min=0.0), z_NA.masked_fill(still_NA, 0.0).clamp(min=0.0)


def matching_losses(large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor, grid: Sequence[float]) -> Tensor:
    """The loss of the KL-matching problem for each expert s alone at each grid point, (S, N, A):

        sum_t (KL(F || P) - KL(E_t || B_t))^2 + (KL(P || F) - KL(B_t || E_t))^2,   F = softmax(P + a (E_s - B_s))

    with P the large policy, E_t the experts, B_t their bases. As in the paper's pseudo-code, one expert is searched at a
    time while the others have alpha 0, and the sum is over all of them.
    """
    one = [1.0]
    targets = [tilt_divergences(base, expert - base, one) for expert, base in zip(experts_TNV, bases_TNV, strict=True)]
    losses = []
    for expert_NV, base_NV in zip(experts_TNV, bases_TNV, strict=True):
        moved_NA, back_NA = tilt_divergences(large_NV, expert_NV - base_NV, grid)
        losses.append(sum(((moved_NA - to).square() + (back_NA - fro).square()) for to, fro in targets))
    return torch.stack(losses)


def matched_alphas(losses_TNA: Tensor, grid: Sequence[float]) -> Tensor:
    """The grid point and the expert with the smallest loss, as coefficients (T, N) that are 0 for all other experts. Of
    equal losses the smallest alpha wins, then the first expert: an expert that is its base gets 0."""
    num = len(losses_TNA)
    by_alpha_NAT = losses_TNA.permute(1, 2, 0)
    best_N = by_alpha_NAT.flatten(1).argmin(-1)  # the first of equals
    values_A = torch.tensor(grid, dtype=losses_TNA.dtype, device=losses_TNA.device)
    chosen_TN = torch.arange(num, device=best_N.device)[:, None] == best_N % num
    return values_A[best_N // num] * chosen_TN


@dataclass(frozen=True)
class Fusion:
    title: ClassVar[str] = "dynamic logit fusion"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "On Giant's Shoulders: Effortless Weak to Strong by Dynamic Logits Fusion",
            "Fan, Chenghao and Lu, Zhenyi and Wei, Wei and Tian, Jie and Qu, Xiaoye and Chen, Dangyang and Cheng, Yu",
            2024,
            "2406.15480",
        ),
    )

    policy: DecodedPolicy
    experts: tuple[str, ...]
    low: NonNegative
    high: Positive
    step: Positive

    def __post_init__(self) -> None:
        object.__setattr__(self, "experts", tuple(self.experts))

    @property
    def grid(self) -> list[float]:
        """low, low + step, ..., up to high, rounded to what its decimals say."""
        return [round(self.low + i * self.step, 10) for i in range(int((self.high - self.low) / self.step + 1e-9) + 1)]

    def coefficients(self, large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor) -> Tensor:
        """Return (T, N): each place n has at most one expert with a coefficient above 0."""
        return matched_alphas(matching_losses(large_NV, experts_TNV, bases_TNV, self.grid), self.grid)
