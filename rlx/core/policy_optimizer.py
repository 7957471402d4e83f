"""What learns from scored completions. The engine runs any of these and knows none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection

# A value head on the policy's trunk, on a copy of the first half of its layers, or on a copy of the whole trunk.
Critic = Literal["none", "shared", "half", "separate"]
# Log-probabilities (..., V) of every next token, the policy's and the reference's -> a number a token (...). Called on some
# tokens at a time: whole vocabularies of all of them need not fit into memory.
TokenMeasure = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Needs:
    """What an optimiser reads beside completions, scores and log-probabilities; by default nothing."""

    critic: Critic = "none"
    entropy: bool = False  # the loss reads the policy's token entropies
    preferences: bool = False  # `select` reads the world's preference model
    # What the loss reads of whole next-token distributions, the policy's beside the reference's.
    token_measure: Callable[[Regularizer], TokenMeasure] | None = None


class PolicyOptimizer(Protocol):
    @property
    def num_samples(self) -> int:
        """G, completions drawn per prompt."""
        ...

    @property
    def num_epochs(self) -> int:
        """Passes over a rollout."""
        ...

    @property
    def num_minibatches(self) -> int:
        """Updates a pass."""
        ...

    @property
    def needs(self) -> Needs: ...

    def select(self, scored: ScoredRollout, regularizer: Regularizer, beta: float) -> Selection:
        """Which K of the G completions to learn from, with their credit. Sees the whole rollout of all processes."""
        ...

    def loss(
        self, output: PolicyOutput, batch: Batch, regularizer: Regularizer, beta: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise (a sum over this batch divided by the whole minibatch's count) and what to log:
        sums already divided likewise, so that adding them over micro-batches and processes gives means."""
        ...
