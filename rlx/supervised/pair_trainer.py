"""TRL's RewardTrainer with a weight for each pair: the one place that overrides TRL's reward loss.

The column `weight` has to pass three gates to reach the loss: the trainer's list of used columns, the collator, and the
model's keywords. Each gate is one method below.
"""

from typing import Any

import torch
from torch import Tensor
from trl.trainer.reward_trainer import RewardTrainer

WEIGHT = "weight"


def weighted_bradley_terry(chosen_B: Tensor, rejected_B: Tensor, weight_B: Tensor) -> Tensor:
    """Return (1/B) sum_b w_b log(1 + exp(-(r(chosen_b) - r(rejected_b)))), a scalar.

    The sum is divided by B and not by the weights' sum: the batches' mean is then the lower level of preference
    hyper-cleaning, (1/n) sum_i w_i l_i, whatever pairs meet in a batch. Weights of one give TRL's own loss.
    """
    return (weight_B * -torch.nn.functional.logsigmoid(chosen_B - rejected_B)).mean()


class PairTrainer(RewardTrainer):
    """RewardTrainer on rows {"chosen_ids", "rejected_ids", "weight"}. TRL's margins and centring are not used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.data_collator = _WithWeight(self.data_collator)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: Any = self._signature_columns  # a list by now
        if WEIGHT not in columns:
            self._signature_columns = [*columns, WEIGHT]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Return TRL's outputs with the loss of `pair_loss` in place of TRL's. The loss that TRL computes is dropped, so
        that its logged metrics stay."""
        given = dict(inputs)
        weight_B = given.pop(WEIGHT)
        outputs: Any
        _, outputs = super().compute_loss(model, given, return_outputs=True, num_items_in_batch=num_items_in_batch)
        chosen_B, rejected_B = outputs.logits.squeeze(-1).chunk(2)
        loss = self.pair_loss(chosen_B, rejected_B, weight_B)
        return (loss, outputs) if return_outputs else loss

    def pair_loss(self, chosen_B: Tensor, rejected_B: Tensor, weight_B: Tensor) -> Tensor:
        """Return the loss of a batch of B pairs, a scalar."""
        return weighted_bradley_terry(chosen_B, rejected_B, weight_B.to(chosen_B.dtype))


class _WithWeight:
    """TRL's collator, and the weights (B,) beside what it makes."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collator(examples)
        batch[WEIGHT] = torch.tensor([example[WEIGHT] for example in examples], dtype=torch.float32)
        return batch
