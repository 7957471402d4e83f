"""All completions of a policy of at most two tokens, each as often as sixteen draws of its own would hold it."""

import torch
from torch import Tensor

# Token 0 ends. P(first) = 1/4 1/4 1/2; P(second | 1) = 1/2 1/4 1/4; P(second | 2) = 1/4 1/4 1/2: sixteenths throughout.
FIRST = torch.tensor([0.25, 0.25, 0.5]).double()
SECOND = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]).double()
REF_FIRST = torch.tensor([0.5, 0.2, 0.3]).double()
REF_SECOND = torch.tensor([[0.3, 0.6, 0.1], [0.3, 0.3, 0.4]]).double()
COMPLETIONS = [(0,), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
DRAWS = [4, 2, 1, 1, 2, 2, 4]
ROWS = [row for row, times in zip(COMPLETIONS, DRAWS, strict=True) for _ in range(times)]
MASK_BT = torch.tensor([[True, len(row) == 2] for row in ROWS])


def parameters() -> Tensor:
    """Logits (3, 3) of the first token and of the second after 1 and 2, to differentiate by."""
    return torch.cat([FIRST[None], SECOND]).log().requires_grad_()


def logps_of(logits_SV: Tensor, rows: list[tuple[int, ...]]) -> Tensor:
    """Token log-probabilities (B, 2) of completions; rubbish where masked."""
    logps_SV = logits_SV.log_softmax(-1)
    nothing = torch.tensor(-99.0).double()
    return torch.stack(
        [torch.stack([logps_SV[0, r[0]], logps_SV[r[0], r[1]] if len(r) == 2 else nothing]) for r in rows]
    )


def ref_logps_of(rows: list[tuple[int, ...]]) -> Tensor:
    return logps_of(torch.cat([REF_FIRST[None], REF_SECOND]).log(), rows).masked_fill(
        torch.tensor([[False, len(r) == 1] for r in rows]), 99.0
    )


def log_ratios(logits_SV: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log p / ref of the seven whole completions."""
    mask = torch.tensor([[True, len(row) == 2] for row in COMPLETIONS])
    logps, ref = (x.where(mask, 0).sum(-1) for x in (logps_of(logits_SV, COMPLETIONS), ref_logps_of(COMPLETIONS)))
    return logps, logps - ref
