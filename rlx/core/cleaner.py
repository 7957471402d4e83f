"""How far each preference pair is trusted: the axis `cleaner`, and what its choices are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

Features = Literal["trunk", "member"]


@dataclass(frozen=True)
class PairEvidence:
    """Pairs as differences of features, chosen minus rejected, in float64, each feature of root mean square 1 over the B
    training pairs."""

    differences_BH: Tensor  # training pairs as they are labelled
    trusted_TH: Tensor  # trusted pairs, whose labels are right
    flipped_B: Tensor  # bool: whether label noise swapped the training pair. For a control alone
    seed: int


class Cleaner(Protocol):
    cleans: ClassVar[bool]  # False: reward models are trained on the pairs as they are, and rlx reads nothing below

    @property
    def num_trusted(self) -> int:
        """Pairs with right labels, which are set aside and not trained on."""
        ...

    @property
    def features(self) -> Features:
        """Whose hidden states the pairs are compared in: those of SFT policy 0 ("trunk"), or of reward model 0 trained on
        all the pairs as they are labelled ("member")."""
        ...

    @property
    def l2(self) -> float:
        """The pull to 0 of every linear score that is fitted to the evidence."""
        ...

    @property
    def num_steps(self) -> int:
        """How often `weights` calls `advance`."""
        ...

    def weights(self, evidence: PairEvidence, advance: Callable[[], None]) -> Tensor:
        """Return a weight from 0 to 1 for every training pair, (B,) in float64."""
        ...
