"""The second term of a reward model's loss: its importance of factors, held to a reference while it trains.

Each update attributes a few completions of the training pairs, the next ones in the order of the pairs, so that a training
that goes on after an interruption attributes the same ones. The penalty's forwards are without dropout, whose noise would
look like importance, and draw no random number: dropout in the pairs' own forward is the same with a penalty as without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rlx.attribution.consistent import Consistent, consistency_loss
from rlx.attribution.shapley import first_and_last
from rlx.core.world import FactorWorld, without_factors
from rlx.model.score_head import pack
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
        groups, size = self.world.factor_groups, 2 * len(self.pairs)
        chosen = [(number * self.numbers.num_texts + i) % size for i in range(self.numbers.num_texts)]
        kept_SG = first_and_last(len(groups)).kept_SG.tolist()
        places_SB = torch.empty(len(kept_SG), len(chosen), dtype=torch.long)
        places: dict[tuple[int, str], int] = {}
        ids: list[list[int]] = []
        for b, index in enumerate(chosen):
            pair = self.pairs[index // 2]
            completion = (pair.chosen, pair.rejected)[index % 2]
            pieces = self.world.factor_pieces(completion.text)
            for s, kept_G in enumerate(kept_SG):
                gone = {group for group, kept in zip(groups, kept_G, strict=True) if not kept}
                text = without_factors(pieces, gone)
                if (b, text) not in places:
                    places[b, text] = len(ids)
                    ids.append(rows.row(pair.prompt, replace(completion, text=text)))
                places_SB[s, b] = places[b, text]
        return ids, places_SB


def shares_of(found: Mapping[str, Any], kind: str) -> list[float]:
    """The mean shares of the models of `kind` in an importance.json, in the order of its groups."""
    rows = [row for row in found["rows"] if row["kind"] == kind]
    return [sum(row["share"][group] for row in rows) / len(rows) for group in found["groups"]]
