"""A further term in the loss of a reward model's training, whichever trainer it has."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from trl.trainer.reward_trainer import RewardTrainer


class LossTerm(NamedTuple):
    """`of(model, number)` is the term of the `number`-th micro-batch, a scalar; it is added after the share `begin` of the
    updates. It must draw no random number, so that a training that goes on after an interruption is the same."""

    of: Callable[[Any, int], Tensor]
    begin: float


def with_term(trainer: type[RewardTrainer], term: LossTerm) -> type[RewardTrainer]:
    """The trainer with the term in its loss."""

    class WithTerm(trainer):
        _place = (-1, 0)  # the update, and which of its micro-batches

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            found: Any = super().compute_loss(model, inputs, True, num_items_in_batch)
            loss, outputs = found
            step, each = self.state.global_step, self.args.gradient_accumulation_steps
            self._place = (step, self._place[1] + 1 if self._place[0] == step else 0)
            if step >= term.begin * self.state.max_steps:
                loss = loss + term.of(model, step * each + self._place[1])
            return (loss, outputs) if return_outputs else loss

    return WithTerm
