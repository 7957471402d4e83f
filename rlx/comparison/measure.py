"""Numbers of one finished run that a claim may be about; None where the run has none."""

from collections.abc import Callable, Mapping

from rlx.comparison.curve import curve_of
from rlx.run.record import RunRecord

OPTIMISED = {
    "single": "member",
    "warm": "warm",
}  # reward -> the kind of judge in members.json; of ensembles, their mean


def of_summary(name: str, other: str | None = None) -> Callable[[RunRecord], float | None]:
    """A number of the final measurement, or `other` where that is missing."""

    def read(record: RunRecord) -> float | None:
        value = record.summary.get(name, record.summary.get(other) if other else None)
        return None if value is None else float(value)

    return read


def proxy(record: RunRecord) -> float | None:
    """The proxy's gain at the last measurement along the run, SD of the start's."""
    curve = curve_of(record)
    return None if curve is None else float(curve.proxy_S[-1])


def fall(record: RunRecord) -> float | None:
    """How far gold ends below its highest measurement, SD of the start's."""
    curve = curve_of(record)
    return None if curve is None else curve.fall


def of_pairs(kind: str) -> Callable[[RunRecord], float | None]:
    """The accuracy of the reward that was optimised, on the pairs of one kind."""

    def read(record: RunRecord) -> float | None:
        wanted = OPTIMISED.get(str(record.choice("reward")), "mean")
        judges = record.members[:1] if wanted == "member" else [one for one in record.judges if one["kind"] == wanted]
        value = judges[0]["accuracy"].get(kind) if judges else None
        return None if value is None else float(value)

    return read


# Name -> what it is called, and how it is read.
MEASURES: Mapping[str, tuple[str, Callable[[RunRecord], float | None]]] = {
    "gold": ("gold, SD over the start", of_summary("gold/score_sd_units")),
    "win_rate": ("win rate over the start", of_summary("gold/win_rate")),
    "proxy": ("proxy, SD over the start", proxy),
    "fall": ("gold lost since its peak, SD", fall),
    "kl": ("KL to the start, nats", of_summary("objective/kl_start", "objective/kl")),
    "length": ("length, tokens", of_summary("completions/mean_length")),
    "similarity": ("similarity across prompts", of_summary("diversity/similarity")),
    "accuracy": ("accuracy on held-out pairs", of_pairs("heldout")),
    "memorised": ("fitted flips, share of the flipped labels", of_pairs("train_flipped")),
}
