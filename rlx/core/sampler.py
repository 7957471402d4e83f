"""How completions are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.rollout import Logprobs


@dataclass(frozen=True)
class Drawn:
    """B completions, on the CPU: right-padded ids (B, T), their mask (up to and including the end of sequence), and
    whether they ended. `logps_BT`: log-probabilities at the sampler's temperature, in nats, 0 where masked, under the
    engine that drew; None where that was the policy itself. `own`: what the policy that drew says of them, where that came
    with the drawing."""

    ids_BT: Tensor
    mask_BT: Tensor
    ended_B: Tensor
    logps_BT: Tensor | None = None
    own: Logprobs | None = None


class Sampler(Protocol):
    @property
    def max_new_tokens(self) -> int: ...

    @property
    def temperature(self) -> float: ...

    @property
    def importance_clip(self) -> float | None:
        """The largest weight that a token may get for what another engine that drew it thought of it; None where the
        policy itself draws."""
        ...

    def check(self) -> None:
        """Raises UserError, before anything is built, where this sampler cannot draw on this machine."""
        ...

    def draw(
        self, policy: PreTrainedModel, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]
    ) -> Drawn:
        """One completion a row (there may be none), on the policy's device; a row's draw depends on its own seed, never on
        the rows beside it (but for rounding: a batch of another shape multiplies its matrices in another order). Every
        process calls this as often as the others: an engine beside the policy is given its weights by all of them."""
        ...
