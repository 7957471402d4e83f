"""A synthetic survey whose answer is known: how much each factor matters to the level of happiness that people state.

Eight correlated factors x ~ N(0, R), R_jk = correlation^|j - k|. What people feel is f(x) plus normal noise, and what they
state is one of five levels, cut so that all are equally frequent. The true score is E[level | x], and the true importance
is the mean absolute Shapley value of that score, by the very game that models are attributed by.
"""

from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import torch
from scipy import stats

from rlx.attribution.importance import importance
from rlx.attribution.shapley import game, shapley
from rlx.core.seed import seed_of
from rlx.tabular.table import Part

FACTORS = ("health", "income", "family", "work", "friends", "trust", "age", "leisure")
NUM_LEVELS = 5
NUM_TRUTH_ROWS = 4000  # people that the true importance is an average over; the same whatever the seed


def feeling(x_BF: np.ndarray) -> np.ndarray:
    """f(x) = tanh(1.2 x1) + .7 x2 + .45 (x3^2 - 1) / sqrt(2) + .35 x4 + .3 x1 x5 + .2 x6 + .1 x7, (B,).

    Income bends and family is a parabola, which a linear model cannot see; health and friends interact, which an additive
    one cannot see. Leisure means nothing.
    """
    x1, x2, x3, x4, x5, x6, x7 = x_BF.T[:7]
    parabola = (x3**2 - 1) / np.sqrt(2)
    return np.tanh(1.2 * x1) + 0.7 * x2 + 0.45 * parabola + 0.35 * x4 + 0.3 * x1 * x5 + 0.2 * x6 + 0.1 * x7


def expected_level(feeling_B: np.ndarray, cuts: np.ndarray, noise: float) -> np.ndarray:
    """E[level | x] = 1 + sum_k P(f(x) + noise e > c_k), e ~ N(0, 1), (B,)."""
    return 1 + stats.norm.cdf((feeling_B[:, None] - cuts) / noise).sum(1)


@dataclass(frozen=True)
class Synthetic:
    """Another draw of people for each seed, from one population."""

    num_rows: int
    num_test_rows: int
    correlation: float
    noise: float

    def fingerprint(self) -> object:
        """Its numbers, and the version of the survey."""
        return {**asdict(self), "survey": 1}

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Every factor by itself."""
        return {name: (i,) for i, name in enumerate(FACTORS)}

    @property
    def truth(self) -> tuple[float, ...]:
        """The true shares of importance, (F,)."""
        return _truth(self)

    def parts(self, seed: int) -> tuple[Part, Part]:
        """People to train on and people to test on, the levels that they state being whole numbers from 1 to 5."""
        cuts = self.cuts()
        return self._drawn("train", seed, self.num_rows, cuts), self._drawn("test", seed, self.num_test_rows, cuts)

    def cuts(self) -> np.ndarray:
        """What one has to feel to state a level above k, (4,): the quintiles of the population."""
        rng = np.random.default_rng(seed_of("survey population"))
        felt_B = feeling(self.people(rng, 20 * NUM_TRUTH_ROWS)) + self.noise * rng.standard_normal(20 * NUM_TRUTH_ROWS)
        return np.quantile(felt_B, np.arange(1, NUM_LEVELS) / NUM_LEVELS)

    def people(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """Factors x ~ N(0, R), (num, F)."""
        places = np.arange(len(FACTORS))
        covariance = self.correlation ** np.abs(places[:, None] - places)
        return rng.standard_normal((num, len(FACTORS))) @ np.linalg.cholesky(covariance).T

    def _drawn(self, part: str, seed: int, num: int, cuts: np.ndarray) -> Part:
        rng = np.random.default_rng(seed_of("survey", part, seed))
        x_BF = self.people(rng, num)
        felt_B = feeling(x_BF) + self.noise * rng.standard_normal(num)
        return Part(x_BF, 1.0 + (felt_B[:, None] > cuts).sum(1))


@cache
def _truth(survey: Synthetic) -> tuple[float, ...]:
    cuts = survey.cuts()
    x_BF = survey.people(np.random.default_rng(seed_of("survey truth")), NUM_TRUTH_ROWS)

    def score(rows_BF: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(expected_level(feeling(rows_BF.numpy()), cuts, survey.noise))

    plan = shapley(len(FACTORS))
    x = torch.from_numpy(x_BF)
    values_SB = torch.cat(
        [
            game(score, part, torch.zeros(len(FACTORS)).double(), list(survey.groups.values()))(plan.kept_SG)
            for part in x.split(500)
        ],
        1,
    )
    found_G = importance(plan.phi(values_SB))
    return tuple((found_G / found_G.sum()).tolist())
