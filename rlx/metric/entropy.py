"""How undecided the policy still is at each token; a collapse to one answer shows here before it shows in the texts."""

import torch
from torch import Tensor

from rlx.core.evaluation import Evaluation


def token_entropy(entropy_BT: Tensor, mask_BT: Tensor) -> float:
    """Mean over all unmasked tokens of -sum_v pi(v) log pi(v), in nats per token. Per token, not per completion, so
    that longer completions do not pass for more random ones."""
    return (torch.where(mask_BT, entropy_BT.double(), 0.0).sum() / mask_BT.sum()).item()


def measure(evaluation: Evaluation) -> dict[str, float]:
    """The entropy in nats per token."""
    return {"objective/entropy": token_entropy(evaluation.entropy_BT, evaluation.mask_BT)}
