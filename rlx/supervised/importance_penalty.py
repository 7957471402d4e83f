"""The second term of a reward model's loss: its importance of factors, held to a reference while it trains.

Each update attributes a few completions of the training pairs, the next ones in the order of the pairs, so that a training
that goes on after an interruption attributes the same ones. The penalty's forwards are without dropout, whose noise would
look like importance, and draw no random number: dropout in the pairs' own forward is the same with a penalty as without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from rlx.attribution.consistent import Consistent, consistency_loss
from rlx.attribution.shapley import first_and_last
from rlx.core.world import FactorWorld
from rlx.model.score_head import pack
from rlx.supervised.coalitions import coalition_texts, numbered
from rlx.supervised.loss_term import LossTerm
from rlx.supervised.pairs import Preference
from rlx.supervised.reward_rows import RewardRows


@dataclass(frozen=True)
class ImportancePenalty:
    """weight KL(reference || model) on some completions of `pairs`. `reference_G`: shares by the world's groups."""

    numbers: Consistent
    world: FactorWorld
    reference_G: Tensor
    pairs: Sequence[Preference]

    @property
    def held_to(self) -> dict[str, float]:
        """The reference by group."""
        return dict(zip(self.world.factor_groups, self.reference_G.tolist(), strict=True))

    def term(self, rows: RewardRows) -> LossTerm:
        """The penalty as a term of the loss; `rows` makes ids of its texts."""
        return LossTerm(lambda model, number: self.loss(model, rows, number), self.numbers.begin)

    def loss(self, model: Any, rows: RewardRows, number: int) -> Tensor:
        """The penalty on the `number`-th batch of `num_texts` completions, a scalar; the texts come round again."""
        ids, places_SB = self.batch(rows, number)
        ids_BT, mask_BT = pack(ids, model.config.pad_token_id or 0)
        training = model.training
        model.eval()
        try:
            device = model.device
            scores_B = model(input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device)).logits.squeeze(-1)
        finally:
            model.train(training)
        values_SB = scores_B.float()[places_SB.to(device)]
        reference_G = self.reference_G.to(values_SB)
        return self.numbers.weight * consistency_loss(values_SB, reference_G, self.numbers.eps)

    def batch(self, rows: RewardRows, number: int) -> tuple[list[list[int]], Tensor]:
        """Distinct rows of ids, and which of them each coalition (S, B) of each completion is."""
        size = 2 * len(self.pairs)
        chosen = [(number * self.numbers.num_texts + i) % size for i in range(self.numbers.num_texts)]
        kept_SG = first_and_last(len(self.world.factor_groups)).kept_SG
        pairs = [self.pairs[index // 2] for index in chosen]
        completions = [(pair.chosen, pair.rejected)[index % 2] for pair, index in zip(pairs, chosen, strict=True)]
        keys_BS = [
            [(b, text) for text in coalition_texts(self.world, completion.text, kept_SG)]
            for b, completion in enumerate(completions)
        ]
        distinct, places_BS = numbered(keys_BS)
        return [rows.row(pairs[b].prompt, replace(completions[b], text=text)) for b, text in distinct], places_BS.T


def shares_of(found: Mapping[str, Any], kind: str) -> list[float]:
    """The mean shares of the models of `kind` in an importance.json, in the order of its groups."""
    rows = [row for row in found["rows"] if row["kind"] == kind]
    return [sum(row["share"][group] for row in rows) / len(rows) for group in found["groups"]]
