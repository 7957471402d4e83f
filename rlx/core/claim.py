"""What a paper claims, as `conf/claim/NAME.yaml` declares it before anything runs: the cells, what is compared, and the seeds."""

from dataclasses import dataclass
from typing import Literal

from rlx.core.numbers import NonNegativeInt, Positive, PositiveInt

# Numbers of one finished run, or of the reward that it optimised; rlx.comparison.measure computes them.
Measure = Literal["gold", "win_rate", "proxy", "fall", "kl", "length", "similarity", "accuracy", "memorised"]


@dataclass(frozen=True)
class Source:
    paper: str  # arXiv's number
    place: str  # figure, table or section
    number: str  # what the paper reports there


@dataclass(frozen=True)
class Match:
    """How arms are brought to the same strength after the fact: each arm runs with every one of its `values` of `key`, and the
    measure is interpolated along sqrt(KL to the start) or along the proxy."""

    key: str
    values: dict[str, list[Positive]]  # arm -> settings of `key`
    along: Literal["kl", "proxy"]


@dataclass(frozen=True)
class Need:
    """What must hold here for the claim to be testable: the mean of `measure` over the runs of `arm`, at least `least`."""

    arm: str
    measure: Measure
    least: float
    why: str


@dataclass(frozen=True)
class Seeds:
    """Data seeds, which are run seeds as well. Settings were chosen on `choose`; the verdict is of `report`."""

    choose: list[NonNegativeInt]
    report: list[NonNegativeInt]


@dataclass(frozen=True)
class Quick:
    """What `--quick` runs in place of the whole: fewer data seeds, and settings that make a run shorter."""

    report: list[NonNegativeInt]
    words: str


@dataclass(frozen=True)
class Claim:
    title: str  # a few words, for figures
    says: str  # one sentence
    source: Source
    common: str  # settings of every arm, as typed after `rlx train`
    arms: dict[str, str]  # name -> settings of its own
    contrast: list[str]  # two arms: the claim is about the first less the second
    measure: Measure
    expect: Literal["more", "less", "same"]  # of the first, by the paper
    smallest_effect: Positive  # of interest; a difference whose 90 % interval lies within it is called equivalent
    match: Match | None
    needs: list[Need]
    seeds: Seeds
    chosen: str  # what was chosen on which seeds
    quick: Quick
    budget: PositiveInt  # minutes on two cores, with nothing in the store
