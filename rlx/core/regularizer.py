"""What keeps the policy near its reference, in the faces that different optimisers need."""

from typing import Protocol

from torch import Tensor


class Regularizer(Protocol):
    """An f-divergence D_f(policy || reference) = E_ref[f(r)] of whole completions, r = policy / reference.

    The gradient of an estimate is not an estimate of the gradient: `divergence` is for logging only. Its gradient is
    E_policy[f'(r) grad log policy], so an optimiser subtracts f'(r) from the reward (`penalty`). Log-probabilities
    (B, T) are in nats, masked tokens do not count.
    """

    @property
    def beta(self) -> float:
        """The coefficient at the start, in reward units per unit of the divergence."""
        ...

    def divergence(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Estimate of the divergence from each completion drawn from the policy (B,); its mean is unbiased."""
        ...

    def penalty(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """f'(r) up to a constant, spread over tokens (B, T), detached; beta times this is subtracted from the reward."""
        ...

    def diagnostics(self, logps_BT: Tensor, ref_logps_BT: Tensor, mask_BT: Tensor) -> dict[str, float]:
        """How far the estimate of these completions can be trusted, to log beside it; empty where it always can."""
        ...

    def token_divergence(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """The divergence of whole next-token distributions, D_f(p || q) exactly: (..., V) log-probabilities -> (...)."""
        ...

    def link(self, log_ratio: Tensor) -> Tensor:
        """The monotone link that replaces log r in preference losses; any shape."""
        ...

    def next_beta(self, beta: float, divergence: float, num_completions: int) -> float:
        """The coefficient for the next step, given what was measured over `num_completions` with this one."""
        ...
