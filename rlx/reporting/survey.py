"""The report of a survey: which factors each model calls primary, and what the penalty did, with intervals over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.reporting.figure.gallery import FigureFile, written
from rlx.reporting.figure.survey import importance, weight
from rlx.reporting.page import drawn, page

Found = Mapping[str, Any]
MODELS = {"linear": "linear (ridge)", "gam": "additive (GAM)", "mlp": "network"}
REFERENCES = {
    "models": "the other models",
    "truth": "the truth (an oracle)",
    "wrong": "a wrong order (a control)",
    "given": "the given prior",
}
VALUES = (
    ("r2", "R², test rows"),
    ("accuracy", "accuracy, test rows"),
    ("tau_truth", "tau to the truth"),
    ("tau_models", "tau among models"),
)
DIFFERENCES = (
    ("r2_over_plain", "R²"),
    ("accuracy_over_plain", "accuracy"),
    ("tau_truth_over_plain", "tau to the truth"),
)
Columns = Sequence[tuple[str, str]]


def draw_survey(found: Found, directory: Path) -> Iterator[FigureFile]:
    """Write the figures that there are numbers for."""
    return written((importance, weight), found, directory)


def name(entry: Found) -> str:
    """A model, or what the network is held to and with which weight."""
    if entry["reference"]:
        return f"held to {REFERENCES[entry['reference']]}, {entry['weight']:g}"
    return MODELS[entry["model"]]


def table(entries: Sequence[Found], columns: Columns = VALUES) -> tuple[list[str], list[list[str]]]:
    """Headings and a row per entry, the weight that was chosen marked; columns that nobody has are left out."""
    columns = [(key, heading) for key, heading in columns if any(key in entry for entry in entries)]
    rows = [
        [f"{name(entry)}{' (chosen)' if entry['chosen'] else ''}", *(_estimate(entry.get(key)) for key, _ in columns)]
        for entry in entries
    ]
    return ["model", *(heading for _, heading in columns)], rows


def shares_table(found: Found) -> tuple[list[str], list[list[str]]]:
    """Headings and a row per plain model, per chosen weight and for the truth: shares of importance ± SD over seeds."""
    groups = by_importance(found)
    rows = []
    for entry in shown(found):
        values = (f"{100 * entry['share'][g]:.0f} ± {100 * entry['share_sd'][g]:.0f} %" for g in groups)
        rows.append([name(entry), *values])
    if found["truth"]:
        rows.append(["the truth", *(f"{100 * found['truth'][g]:.0f} %" for g in groups)])
    return ["model", *groups], rows


def by_importance(found: Found) -> list[str]:
    """The factors, most important first: by the truth, else by the mean of the plain models."""
    return importance.ordered(found)


def shown(found: Found) -> list[Found]:
    """The plain models, and each reference at its chosen weight."""
    return importance.shown(found)


def summary(found: Found) -> list[str]:
    """A sentence per reference: did the chosen weight make the network more accurate, and its order truer?"""
    num = len(found["settings"]["seeds"])
    said = []
    for entry in shown(found):
        if not entry["reference"]:
            continue
        parts = []
        for key, what in (
            ("r2_over_plain", "R²"),
            ("accuracy_over_plain", "accuracy"),
            ("tau_truth_over_plain", "tau to the truth"),
        ):
            if change := entry.get(key):
                parts.append(f"{what} {_estimate(change, plus=True)}{_told(change)}")
        said.append(
            f"Held to {REFERENCES[entry['reference']]} with weight {entry['weight']:g}, against the same network without the "
            f"penalty, over {num} seeds: {'; '.join(parts)}."
        )
    return said


def render_survey(found: Found, figures: Sequence[FigureFile]) -> str:
    """Return the page."""
    settings = found["settings"]
    return page(
        "survey.html.jinja",
        title=f"Which factors matter: {settings['target']}"
        if settings["path"]
        else "Which factors matter: a synthetic survey",
        file=settings["path"],
        summary=summary(found),
        figures=drawn(figures),
        table=table(list(found["models"].values())),
        differences=table([entry for entry in found["models"].values() if entry["reference"]], DIFFERENCES),
        shares=shares_table(found),
        settings=settings,
    )


def _told(change: Found) -> str:
    """What the interval of a difference allows to say."""
    if change["low"] is None:
        return " (one seed: no interval)"
    return "" if change["low"] > 0 or change["high"] < 0 else " (not distinguishable)"


def _estimate(found: Found | None, plus: bool = False) -> str:
    if found is None:
        return ""
    value = _thousandths(found["value"], plus)
    return value if found["low"] is None else f"{value} [{_thousandths(found['low'])}, {_thousandths(found['high'])}]"


def _thousandths(value: float, plus: bool = False) -> str:
    """Three decimals: a difference in R² of .005 is worth telling from none."""
    return f"{round(value, 3) + 0.0:{'+' if plus else ''}.3f}".replace("-", "−")
