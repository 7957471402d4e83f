"""How sure a mean over prompts is: the bias-corrected accelerated bootstrap (Efron 1987), with a fixed seed."""

import warnings

import numpy as np
from scipy import stats

SEED = 20260101  # the resampling's own; an interval must not depend on the run's seed
NUM_RESAMPLES = 9999


def mean_interval(values_B: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper bound of the mean of `values_B`, which are one number for each independent prompt.

    Values that are all alike give an interval of no width: whether that is believable is the caller's to judge
    (`win_rate` does not believe it). Raises ValueError for fewer than two values, of which nothing can be said.
    """
    values_B = np.asarray(values_B, dtype=np.float64)
    if values_B.size < 2:
        raise ValueError(f"an interval needs at least two values, got {values_B.size}")
    if np.ptp(values_B) == 0:
        return float(values_B[0]), float(values_B[0])
    for method in ("BCa", "percentile"):  # BCa has no answer where nearly all resamples agree
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            result = stats.bootstrap(
                (values_B,),
                np.mean,
                confidence_level=confidence,
                n_resamples=NUM_RESAMPLES,
                method=method,
                batch=max(1, 2_000_000 // values_B.size),
                rng=np.random.default_rng(SEED),
            )
        low, high = result.confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            return float(low), float(high)
    raise AssertionError(f"the percentile bootstrap of finite values is finite: {values_B}")
