"""Proxy and gold against the distance travelled, sqrt(KL), as Gao et al. 2022 and Coste et al. 2023 plot it."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from rlx.reporting.figure.proxy_gold import draw_proxy_gold
from rlx.run.record import RunRecord, Standardised

TITLE = "What the optimisation bought: proxy and gold against distance"
ABSENT = "it takes two held-out evaluations, the first of them of the start policy."
CAPTION = (
    "Each point is one evaluation on the same held-out prompts, in the order of training. Distance is √KL from "
    "{origin}. Bars are 95 % intervals over prompts; gold's are those of its gain on the same prompts. "
    "Proxy rising while gold falls is over-optimisation."
)


CAPTION_BY_N = (
    "Each point is the expected score of the best of n completions by the proxy, estimated without bias from {most} "
    "completions a prompt; n is marked above. Distance is √(log n − (n−1)/n), best-of-n's √KL from the policy that "
    "samples. Bars are 95 % intervals over prompts of the gain over n = 1. Proxy rising while gold falls is "
    "over-optimisation."
)
MANY = 10  # of more values of n than this, not all are marked


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None without two evaluations whose scores can be standardised."""
    if record.bon:
        return _draw_by_n(record)
    gold, proxy = record.standardised("gold"), record.standardised("proxy")
    if gold is None or proxy is None:
        return None
    measured = set(proxy.steps)
    for name, origin in (("objective/sqrt_kl_start", "the start policy"), ("objective/sqrt_kl", "the reference")):
        at = dict(zip(*record.series("heldout", name), strict=True))
        steps = [step for step in gold.steps if step in at and step in measured]
        if len(steps) > 1:
            x = np.array([at[step] for step in steps])
            figure = draw_proxy_gold(x, f"√KL from {origin} (√nats)", only(gold, steps), only(proxy, steps))
            return figure, CAPTION.format(origin=origin)
    return None


def _draw_by_n(record: RunRecord) -> tuple[Figure, str] | None:
    gold, proxy = record.standardised_by_n("gold"), record.standardised_by_n("proxy")
    ns, x = record.series("bon", "objective/sqrt_kl_start")
    if gold is None or proxy is None or len(x) != len(gold.steps):
        return None
    figure = draw_proxy_gold(x, "√KL from the start policy (√nats)", gold, proxy, "n = {}")
    shown = np.arange(len(ns))[::-1][:: -(-len(ns) // MANY)]  # N itself, and every one, second or third below it
    above = figure.axes[0].secondary_xaxis("top")
    above.set_xticks(x[shown], [f"{n:,}" for n in ns[shown]])
    above.set_xlabel("n, completions to choose from")
    return figure, CAPTION_BY_N.format(most=f"{ns[-1]:,}")


def only(score: Standardised, steps: list[int]) -> Standardised:
    """The score at `steps` alone."""
    keep = np.isin(score.steps, steps)
    kept = {name: getattr(score, name)[keep] for name in ("steps", "values", "low", "high", "errors")}
    return replace(score, **kept)
