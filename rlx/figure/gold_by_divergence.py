"""Proxy and gold against the distance travelled, sqrt(KL), as Gao et al. 2022 and Coste et al. 2023 plot it."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from rlx.core.record import RunRecord, Standardised
from rlx.figure.proxy_gold import draw_proxy_gold

TITLE = "What the optimisation bought: proxy and gold against distance"
ABSENT = "it takes two held-out evaluations, the first of them of the start policy."
CAPTION = (
    "Each point is one evaluation on the same held-out prompts, in the order of training. Distance is √KL from "
    "{origin}. Bars are 95 % intervals over prompts; gold's are those of its gain on the same prompts. "
    "Proxy rising while gold falls is over-optimisation."
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None without two evaluations whose scores can be standardised."""
    gold, proxy = record.standardised("gold"), record.standardised("proxy")
    if gold is None or proxy is None:
        return None
    for name, origin in (("objective/sqrt_kl_start", "the start policy"), ("objective/sqrt_kl", "the reference")):
        at = dict(zip(*record.series("heldout", name), strict=True))
        steps = [step for step in gold.steps if step in at and step in proxy.steps]
        if len(steps) > 1:
            x = np.array([at[step] for step in steps])
            figure = draw_proxy_gold(x, f"√KL from {origin} (√nats)", only(gold, steps), only(proxy, steps))
            return figure, CAPTION.format(origin=origin)
    return None


def only(score: Standardised, steps: list[int]) -> Standardised:
    """The score at `steps` alone."""
    keep = np.isin(score.steps, steps)
    kept = {name: getattr(score, name)[keep] for name in ("steps", "values", "low", "high", "errors")}
    return replace(score, **kept)
