"""Which preference pairs were trusted, on a report: how well the flipped labels were found, what that is worth on the same
features, and the pairs that were distrusted most."""

from typing import Any

from rlx.reporting.sample import plain
from rlx.run.record import RunRecord

Table = tuple[list[str], list[list[str]]]
RANKINGS = {
    "weights": "the weights that were used",
    "small_loss": "small loss under a score fitted to all labels (needs no trusted pair)",
    "trusted_loss": "small loss under a score fitted to the trusted pairs alone",
    "oracle_loss": "small loss under a score fitted without the flipped pairs (a ceiling)",
}
SCORES = {
    "noisy": "all pairs as labelled",
    "trusted": "the trusted pairs alone",
    "noisy_and_trusted": "all pairs and the trusted ones",
    "ensemble": "mean of 4 scores on resampled pairs",
    "small_loss": "the pairs of small loss, as many as have right labels",
    "cleaned": "all pairs with the weights that were used",
    "oracle": "the pairs with right labels (oracle)",
}


def summary(record: RunRecord) -> str:
    """Counts in a sentence or two; empty where all pairs count alike."""
    told = record.cleaning
    if not told:
        return ""
    weights, pairs = told["weights"], told["pairs"]
    flipped = f" Label noise flipped {told['flipped']:,} of them." if told["flipped"] else ""
    return (
        f"Each of {pairs:,} training pairs has a weight, learnt beside {told['trusted']:,} trusted pairs that are not trained "
        f"on.{flipped} {weights['below_half']:,} weights are below one half, and the weighed pairs count as "
        f"{weights['effective_pairs']:,.0f} equal ones (Kish's effective number)."
    )


def flips(record: RunRecord) -> Table:
    """Headings and a row for each ranking of the pairs; no row where no label was flipped."""
    found = record.cleaning.get("flips")
    if not found:
        return [], []
    prior = f"{found['prior_f1']:.3f}"
    at_count = f"F1 of keeping as many as are right (trusting all: {prior})"
    headings = ["which labels are right, by", "AUC", at_count, "F1 of weights ≥ ½"]
    return headings, [
        [
            name,
            f"{found[key]['auc']:.3f}",
            f"{found[key]['f1_at_count']:.3f}",
            f"{found[key]['f1']:.3f}" if "f1" in found[key] else "",
        ]
        for key, name in RANKINGS.items()
    ]


def scores(record: RunRecord) -> Table:
    """Headings and a row for each linear score on the same features, with its accuracy on held-out pairs."""
    found = record.cleaning.get("heldout")
    if not found:
        return [], []
    headings = ["a linear score on these features, fitted to", "held-out pairs"]
    return headings, [[name, _share(found[key])] for key, name in SCORES.items() if key in found]


def most_distrusted(record: RunRecord) -> list[dict[str, Any]]:
    """The pairs of least weight, least first, with texts that the template escapes."""
    return [
        {
            "prompt": plain(row["prompt"]),
            "chosen": row["chosen"],
            "rejected": row["rejected"],
            "place": f"weight {row['weight']:.3f}",
            "flipped": row["flipped"] if record.cleaning.get("flipped") else None,
        }
        for row in record.cleaning.get("most_distrusted", [])
    ]


def _share(found: dict[str, float | None]) -> str:
    text = f"{100 * (found['value'] or 0.0):.1f} %"
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
