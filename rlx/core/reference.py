"""What the policy is held near: the axis `reference`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from transformers import PreTrainedModel


class PolicyLoader(Protocol):
    """The part of a `model=` choice that a reference uses."""

    def policy(self, path: Path | None) -> PreTrainedModel:
        """The causal language model saved at `path`; the base if None."""
        ...


class Reference(Protocol):
    @property
    def num_policies(self) -> int:
        """SFT policies that it is made of; training starts from the first."""
        ...

    @property
    def is_start(self) -> bool:
        """Whether it is the policy that training starts from: then one model is both."""
        ...

    def combine(self, policy_paths: Sequence[Path], model: PolicyLoader) -> PreTrainedModel:
        """The reference in eval mode, without gradients, from `num_policies` directories."""
        ...
