"""Proxy and gold along training."""

import numpy as np
from matplotlib.figure import Figure

from rlx.reporting.figure.gold_by_divergence import only
from rlx.reporting.figure.proxy_gold import draw_proxy_gold
from rlx.run.record import RunRecord

TITLE = "The same along training"
ABSENT = "it takes two held-out evaluations, the first of them of the start policy."
CAPTION = (
    "Held-out proxy and gold after each number of rollouts learnt from, in standard deviations of the start policy's "
    "completions. Bars are 95 % intervals over prompts; gold's are those of its gain on the same prompts."
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None without two evaluations whose scores can be standardised."""
    gold, proxy = record.standardised("gold"), record.standardised("proxy")
    if gold is None or proxy is None:
        return None
    steps = np.intersect1d(gold.steps, proxy.steps)
    if len(steps) < 2:
        return None
    return draw_proxy_gold(steps.astype(float), "step", only(gold, list(steps)), only(proxy, list(steps))), CAPTION
