"""Which points of a long curve are drawn: more than a figure has pixels for cost time and show nothing."""

from itertools import pairwise

import numpy as np

MOST = 400  # points of one curve; a panel is 900 pixels wide at most


def thinned(values: np.ndarray, most: int = MOST) -> np.ndarray:
    """Return the places, ascending, of at most `most` of the `values` (S,): all where that suffices. Else the first, the
    last, and the lowest and the highest of each of many equal parts, so that a peak is seen however short it is."""
    if len(values) <= most:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), most // 2).astype(int)
    parts = list(pairwise(edges))
    low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
    lowest = [first + np.argmin(low[first:end]) for first, end in parts]
    highest = [first + np.argmax(high[first:end]) for first, end in parts]
    return np.unique([0, *lowest, *highest, len(values) - 1])
