"""The SFT policy that training starts from, as it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from transformers import PreTrainedModel

from rlx.core.reference import PolicyLoader


@dataclass(frozen=True)
class Frozen:
    title: ClassVar[str] = "the start policy itself"

    @property
    def num_policies(self) -> int:
        return 1

    @property
    def is_start(self) -> bool:
        """Whether the reference is the policy that training starts from: then one model is both."""
        return True

    def combine(self, policy_paths: Sequence[Path], model: PolicyLoader) -> PreTrainedModel:
        """SFT policy 0 in eval mode, without gradients."""
        return model.policy(policy_paths[0]).requires_grad_(False).eval()
