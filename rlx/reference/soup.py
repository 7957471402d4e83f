"""The weight average of SFT policies as reference (SALSA, arXiv 2411.01798).

The policy still starts from SFT policy 0, so its divergence from the reference is not 0 at the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.error import UserError
from rlx.core.numbers import Fraction, PositiveInt
from rlx.model.average import average_weights, load_weights
from rlx.model.recipe import Model


def soup_weights(num_policies: int, alpha: float | None) -> list[float]:
    """alpha for the first policy, (1 - alpha)/(n - 1) for each of the others; all 1/n where alpha is None."""
    if alpha is None:
        return [1 / num_policies] * num_policies
    if num_policies == 1:
        return [1.0]
    return [alpha, *[(1 - alpha) / (num_policies - 1)] * (num_policies - 1)]


def soup(policy_paths: Sequence[Path], alpha: float | None) -> dict[str, Tensor]:
    """theta_soup = alpha theta_1 + (1 - alpha) theta_2 for two policies; the mean for n with alpha None."""
    return average_weights(list(policy_paths), soup_weights(len(policy_paths), alpha))


@dataclass(frozen=True)
class Soup:
    num_policies: PositiveInt
    alpha: Fraction | None

    def __post_init__(self) -> None:
        if self.num_policies == 1 and self.alpha not in (None, 1.0):
            raise UserError(
                f"reference.alpha={self.alpha} with reference.num_policies=1: there is no other policy; use 2 or more"
            )

    def combine(self, policy_paths: Sequence[Path], model: Model) -> PreTrainedModel:
        """The soup in eval mode, without gradients."""
        assert len(policy_paths) == self.num_policies
        reference = model.policy(policy_paths[0])
        load_weights(reference, soup(policy_paths, self.alpha))
        return reference.requires_grad_(False).eval()
