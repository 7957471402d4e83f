"""How a policy's next token is chosen at decode time: by itself, or with the change that training made to smaller ones."""

from typing import Literal, Protocol

from torch import Tensor

DecodedPolicy = Literal["start", "model"]


class Decoder(Protocol):
    """A choice of `rlx evaluate`; nothing is trained with it."""

    policy: DecodedPolicy  # of a run: the policy that it started from, or the one that it trained
    experts: tuple[str, ...]  # run directories; none for a decoder that leaves the policy alone

    def coefficients(self, large_NV: Tensor, experts_TNV: Tensor, bases_TNV: Tensor) -> Tensor:
        """alpha of each of T experts at N places, (T, N): the policy's logits plus sum_t alpha_t (expert_t - base_t) are
        those drawn from. All logits are at temperature 1."""
        ...
