"""WARM: one reward model with the mean weights of its members, at the cost of one (arXiv 2401.12187).

The mean only makes sense for members that share pre-training and the initial score head, as rlx's do.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from rlx.core.numbers import PositiveInt
from rlx.core.paper import Paper
from rlx.core.reward import Sources
from rlx.core.scorer import Scorer
from rlx.model.average import averaged_directory
from rlx.model.score_head import head_weight
from rlx.reward._ensemble import load_member, single_model

log = logging.getLogger(__name__)
LEAST_COSINE = 0.5  # heads that differ more than this did not start from one initialisation


def warm_weights(num_members: int) -> list[float]:
    """phi_WARM = (1/M) sum_i phi_i, featuriser and head (arXiv 2401.12187, eq. 2): the M factors of the sum."""
    return [1 / num_members] * num_members


def least_cosine(heads: Sequence[Tensor]) -> float:
    """The smallest cosine between two of the heads; 1 for a single one."""
    flat = [head.flatten().double() for head in heads]
    return min((float(torch.cosine_similarity(a, b, dim=0)) for a, b in combinations(flat, 2)), default=1.0)


@dataclass(frozen=True)
class WARM:
    title: ClassVar[str] = "{num_members} reward models averaged into one (WARM)"
    papers: ClassVar[tuple[Paper, ...]] = (
        Paper(
            "WARM: On the Benefits of Weight Averaged Reward Models", "Ramé, Alexandre and others", 2024, "2401.12187"
        ),
    )

    num_members: PositiveInt

    scores_each_member: ClassVar[bool] = False  # one model scores, which is none of them

    @property
    def members(self) -> range:
        return range(self.num_members)

    def scorer(self, sources: Sources) -> Scorer:
        """z-normalised anew on the reference set: averaging shrinks the spread of the scores."""
        cosine = least_cosine([head_weight(path) for path in sources.members])
        if cosine < LEAST_COSINE:
            log.warning(
                "reward=warm: the score heads of two members have cosine %.2f; they did not start from one head", cosine
            )
        with averaged_directory(sources.members, warm_weights(self.num_members)) as directory:
            averaged = load_member(directory)
        averaged = averaged if self.num_members == 1 else averaged.normalised(sources.rows)
        return single_model(averaged, sources.rows)
