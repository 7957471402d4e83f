"""The settings of `rlx survey`, as `conf/survey.yaml` has them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from rlx.core.numbers import Fraction, NonNegative, Positive, PositiveInt

ReferenceKind = Literal["models", "truth", "wrong", "given"]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class MlpSettings:
    """The network that pays for its departure from the reference."""

    hidden_size: PositiveInt
    num_layers: PositiveInt
    num_epochs: PositiveInt
    learning_rate: Positive
    weight_decay: NonNegative
    penalty_from: Fraction


@dataclass(frozen=True)
class SyntheticSettings:
    """The survey that is drawn where no file is given."""

    num_rows: PositiveInt
    num_test_rows: PositiveInt
    correlation: Fraction
    noise: Positive


@dataclass(frozen=True)
class SurveySettings:
    path: str | None
    target: str | None
    factors: tuple[str, ...] | None
    groups: dict[str, tuple[str, ...]]
    test_share: Share
    references: tuple[ReferenceKind, ...] | None
    prior: dict[str, NonNegative]
    weights: tuple[Positive, ...]
    seeds: tuple[int, ...]
    choosing_seeds: tuple[int, ...]
    mlp: MlpSettings
    synthetic: SyntheticSettings
    name: str | None
    cache_dir: str
    runs_dir: str
