"""The weight average of SFT policies as reference (SALSA, arXiv 2411.01798).

The policy still starts from SFT policy 0, so its divergence from the reference is not 0 at the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from transformers import PreTrainedModel

from rlx.core.numbers import Fraction, PositiveInt
from rlx.core.paper import Paper
from rlx.core.reference import PolicyLoader
from rlx.model.average import averaged_directory


def soup_weights(num_policies: int, alpha: float | None) -> list[float]:
    """theta_soup = alpha theta_1 + (1 - alpha) theta_2 for two policies (SALSA, section 3). For n, the others share
    1 - alpha equally; alpha None is the mean of all."""
    if alpha is None:
        return [1 / num_policies] * num_policies
    if num_policies == 1:
        return [1.0]
    return [alpha, *[(1 - alpha) / (num_policies - 1)] * (num_policies - 1)]


@dataclass(frozen=True)
class Soup:
    title: ClassVar[str] = "a soup of {num_policies} SFT policies"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "SALSA: Soup-based Alignment Learning for Stronger Adaptation in RLHF",
            "Chegini, Atoosa and others",
            2024,
            "2411.01798",
        ),
    )

    num_policies: PositiveInt
    alpha: Fraction | None

    @property
    def is_start(self) -> bool:
        """Whether the reference is the policy that training starts from: then one model is both."""
        return self.num_policies == 1 or self.alpha == 1.0

    def combine(self, policy_paths: Sequence[Path], model: PolicyLoader) -> PreTrainedModel:
        """The soup in eval mode, without gradients."""
        assert len(policy_paths) == self.num_policies
        with averaged_directory(policy_paths, soup_weights(self.num_policies, self.alpha)) as directory:
            return model.policy(directory).requires_grad_(False).eval()
