"""What the gold score is made of: mean of each of the judge's factors, to see which of them is sacrificed."""

import statistics
from collections.abc import Sequence

from rlx.core.error import UserError
from rlx.core.evaluation import Evaluation
from rlx.run.record import GOLD_METRICS


def mean_factors(factors: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each factor over the completions that have it; empty where the judge cannot say."""
    names = sorted({name for one in factors for name in one})
    present = {name: [one[name] for one in factors if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in present.items()}


def spread_of_factors(factors: Sequence[dict[str, float]]) -> dict[str, float]:
    """Sample standard deviation of each factor that two or more completions have."""
    names = sorted({name for one in factors for name in one})
    present = {name: [one[name] for one in factors if name in one] for name in names}
    return {name: statistics.stdev(values) for name, values in present.items() if len(values) > 1}


def measure(evaluation: Evaluation) -> dict[str, float]:
    """`gold/<factor>` for each factor, and `gold_std/<factor>`, its spread over completions. Raises UserError where a
    factor's name is taken by a metric."""
    means = mean_factors(evaluation.gold_factors)
    if taken := sorted(means.keys() & GOLD_METRICS):
        raise UserError(
            f"the judge's factors() names a factor {taken[0]!r}, but gold/{taken[0]} is a metric: rename the factor"
        )
    spreads = spread_of_factors(evaluation.gold_factors)
    return {f"gold/{name}": mean for name, mean in means.items()} | {
        f"gold_std/{name}": s for name, s in spreads.items()
    }
