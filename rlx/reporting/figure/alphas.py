"""How much of the experts' change is taken, along the text and over all tokens."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rlx.comparison.decoders import mean_alphas
from rlx.reporting.figure.style import INK, PROXY, QUIET, new, zero_line
from rlx.run.record import RunRecord

TITLE = "How much of the experts' change is taken"
ABSENT = "it takes a decoder with experts, and an alpha that changes."
MIN_SHARE = 0.1  # of the completions must reach a place for it to be drawn
CAPTION = (
    "Left: alpha at each token, all experts together: mean (line) and middle half of the completions (band), at places that at "
    "least a tenth of the {num} completions reach. Right: the share of tokens at each alpha. At 1 all of the change that training "
    "made to the small policies is added to the large one's logits (proxy tuning); at 0 none."
)
AT_BOUND = " {share:.0f} % of the tokens are at the largest alpha of the grid, {high:g} (decoder.high)."


def draw(records: Sequence[RunRecord]) -> tuple[Figure, str] | None:
    """The figure of all completions of the records and its caption; None where none has
    alphas that are chosen at each token."""
    chosen = [record for record in records if "alpha" not in (record.config.get("decoder") or {})]  # a constant
    alphas = [row["alphas"] for record in chosen for row in record.final_samples().values() if row.get("alphas")]
    if not alphas:
        return None
    along, counts, shares = mean_alphas(alphas)
    kept = counts >= MIN_SHARE * counts[0]
    low, _, high, mean = along[:, kept]
    places = np.arange(1, kept.sum() + 1)
    figure, (left, right) = new(2.9, 1, 2)
    zero_line(left, 1.0)
    left.fill_between(places, low, high, color=PROXY, alpha=0.18, linewidth=0)
    left.plot(places, mean, color=PROXY)
    left.set(xlabel="token of the completion", ylabel="alpha", ylim=(-0.05, max(2.05, float(high.max()) + 0.1)))
    width = 0.8 * min(np.diff(shares[:, 0]), default=0.1)
    right.bar(shares[:, 0], 100 * shares[:, 1], width=width, color=PROXY)
    right.axvline(1.0, color=QUIET, linewidth=1, zorder=1)
    right.set(xlabel="alpha", ylabel="% of tokens")
    right.tick_params(colors=INK)
    largest = chosen[0].config["decoder"].get("high")
    at_bound = 100 * float(shares[shares[:, 0] == largest, 1].sum())
    more = AT_BOUND.format(share=at_bound, high=largest) if at_bound >= 0.5 else ""
    return figure, CAPTION.format(num=len(alphas)) + more
