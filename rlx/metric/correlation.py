"""Whether the proxy still ranks this policy's completions as gold does: reward hacking is this number falling.

Pearson's r over one completion per prompt, the r of "r-correlated proxy" in Laidlaw et al. 2024 (arXiv 2403.03185).
"""

import numpy as np

from rlx.core.evaluation import Evaluation


def pearson(x_B: np.ndarray, y_B: np.ndarray) -> float | None:
    """Correlation in [-1, 1]; None where one of the two does not vary."""
    if len(x_B) < 2 or np.ptp(x_B) == 0 or np.ptp(y_B) == 0:
        return None
    return float(np.corrcoef(x_B, y_B)[0, 1])


def measure(evaluation: Evaluation) -> dict[str, float]:
    """The correlation of proxy and gold; left out where one of the two does not vary."""
    r = pearson(evaluation.proxy_B, evaluation.gold_B)
    return {} if r is None else {"proxy/gold_correlation": r}
