"""Proxy and gold along one axis, both in standard deviations of the start policy's completions: the picture of
over-optimisation (Gao et al. 2022, arXiv 2210.10760, figure 1)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlx.reporting.figure.style import GOLD, PROXY, EndLabel, label_ends, new, signed, step_axis, zero_line
from rlx.reporting.figure.thinned import thinned
from rlx.run.record import Standardised

COMMENSURATE = 6.0  # beyond this ratio of the two spans one curve would be flat: they get a panel each


def draw_proxy_gold(
    x: np.ndarray, xlabel: str, gold: Standardised, proxy: Standardised, place: str = "step {}"
) -> Figure:
    """`x` (S,) in the order of training, which need not ascend. Shaded: 95 % intervals over prompts. `place` names one of
    gold's steps."""
    spans = sorted((np.ptp(np.append(gold.values, 0)), np.ptp(np.append(proxy.values, 0))))
    if spans[1] <= COMMENSURATE * max(spans[0], 0.15):
        figure, axes = new(3.9)
        places = {"proxy": axes[0], "gold": axes[0]}
    else:
        figure, axes = new(5.4, rows=2, sharex=True)
        places = {"proxy": axes[0], "gold": axes[1]}
    for axis in axes:
        zero_line(axis)
        axis.set_ylabel("SD over the start")
    if xlabel == "step":
        step_axis(axes[-1])
    else:
        axes[-1].set_xlabel(xlabel)
    _curve(places["proxy"], x, proxy, PROXY, "s")
    _curve(places["gold"], x, gold, GOLD, "o")
    _mark_peak(places["gold"], x, gold, place)
    axes[0].margins(x=0.03)
    ends = {
        "proxy": EndLabel(x[-1], proxy.values[-1], f"proxy {signed(proxy.values[-1])}", PROXY),
        "gold": EndLabel(x[-1], gold.values[-1], f"gold {signed(gold.values[-1])}", GOLD),
    }
    for axis in axes:
        label_ends(axis, [ends[which] for which, place in places.items() if place is axis])
    return figure


def _curve(axis: Axes, x: np.ndarray, score: Standardised, colour: str, marker: str) -> None:
    keep = thinned(score.values)
    x, values, low, high = x[keep], score.values[keep], score.low[keep], score.high[keep]
    known = np.isfinite(low) & np.isfinite(high)
    # Bars rather than a band: along sqrt(KL) a run may turn back, and a band would fold over itself.
    errors = np.clip(np.stack([values - low, high - values])[:, known], 0, None)
    axis.errorbar(x[known], values[known], errors, fmt="none", ecolor=colour, alpha=0.35, elinewidth=3, zorder=2)
    axis.plot(x, values, color=colour, marker=marker, zorder=3)


def _mark_peak(axis: Axes, x: np.ndarray, gold: Standardised, place: str) -> None:
    peak = int(np.argmax(gold.values))
    if peak in (0, len(x) - 1):  # never above the start, or still at its highest: nothing to mark
        return
    axis.plot(x[peak], gold.values[peak], marker="o", markersize=12, mfc="none", mec=GOLD, mew=1.6, zorder=4)
    side = int(np.digitize((x[peak] - x.min()) / (np.ptp(x) or 1), (0.25, 0.75)))
    low, high = axis.get_ylim()
    axis.set_ylim(low - 0.12 * (high - low), high)  # a strip under all curves, for the words
    axis.annotate(
        f"gold's peak {signed(gold.values[peak])} at {place.format(gold.steps[peak])}",
        xy=(x[peak], gold.values[peak]),
        xytext=(x[peak], low - 0.10 * (high - low)),
        ha=("left", "center", "right")[side],
        va="bottom",
        color=GOLD,
        fontsize=10,
        arrowprops={"arrowstyle": "-", "color": GOLD, "lw": 0.8, "shrinkB": 7, "relpos": (side / 2, 1)},
    )
