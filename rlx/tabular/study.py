"""The study of a survey: every model on every seed, the penalty's weight chosen on some seeds and reported on others."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from rlx.artefact.store import Store
from rlx.attribution.importance import mean_tau, tau
from rlx.process.progress import stage
from rlx.tabular.fit import SurveyFit, read
from rlx.tabular.settings import ReferenceKind, SurveySettings
from rlx.tabular.synthetic import Synthetic
from rlx.tabular.table import CsvTable, Source

PLAIN = ("linear", "gam", "mlp")
Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval; None of one seed."""

    value: float
    low: float | None
    high: float | None


def source_of(settings: SurveySettings) -> Source:
    """The user's file, or the synthetic survey."""
    if settings.path is None:
        return Synthetic(**asdict(settings.synthetic))
    assert settings.target is not None
    path = Path(settings.path).expanduser()
    return CsvTable(path, settings.target, settings.factors, settings.groups, settings.test_share)


def references_of(settings: SurveySettings) -> tuple[ReferenceKind, ...]:
    """Those asked for; else all that there are for the table."""
    if settings.references is not None:
        return settings.references
    known: tuple[ReferenceKind, ...] = ("models", "truth", "wrong") if settings.path is None else ("models", "wrong")
    return (*known, "given") if settings.prior else known


class Study:
    """The fits of a study. `prior_G`: the shares of reference "given", in the order of the groups."""

    def __init__(self, settings: SurveySettings, source: Source, store: Store) -> None:
        self.settings, self.source, self.store = settings, source, store
        self.references = references_of(settings)
        self.prior_G = tuple(settings.prior.get(group, 0.0) for group in source.groups) if settings.prior else None

    def recipe(self, model: str, reference: ReferenceKind | None = None, weight: float = 0.0) -> SurveyFit:
        """One fit. With weight 0 it is that of the network without a reference."""
        numbers = self.settings.mlp if model == "mlp" else None
        if weight == 0:
            reference = None
        prior_G = self.prior_G if reference == "given" else None
        return SurveyFit(self.source, model, numbers, reference, prior_G, weight)  # pyright: ignore[reportArgumentType]

    def recipes(self) -> list[SurveyFit]:
        """Of every seed, in the order in which they are fitted."""
        penalised = [self.recipe("mlp", r, w) for r in self.references for w in self.settings.weights]
        return [self.recipe(model) for model in PLAIN] + penalised

    def run(self) -> list[dict[str, Any]]:
        """A row per fit: what its artefact says, its seed, and Kendall's tau to the truth where that is known."""
        seeds = [*self.settings.choosing_seeds, *self.settings.seeds]
        recipes, truth = self.recipes(), self.source.truth
        rows: list[dict[str, Any]] = []
        with stage("fits of the survey", len(seeds) * len(recipes)) as bar:
            for seed in seeds:
                for recipe in recipes:
                    row: dict[str, Any] = read(self.store.fetch(recipe, seed)) | {"seed": seed}
                    row["tau_truth"] = tau(row["test"], truth) if truth else None
                    rows.append(row)
                    bar.advance(1, note=f"seed {seed}")
        return rows

    def findings(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Per model the means over the reported seeds, the paired difference to the network without a penalty, and how far
        models agree. The weight of each reference has the highest mean R2 on the choosing seeds."""
        seeds, plain = self.settings.seeds, (None, 0.0)
        chosen = {reference: self._chosen(rows, reference) for reference in self.references}
        found = {}
        for model, reference, weight in [
            *((model, *plain) for model in PLAIN),
            *(("mlp", reference, weight) for reference in self.references for weight in self.settings.weights),
        ]:
            own = _of(rows, seeds, model, reference, weight)
            base = _of(rows, seeds, "mlp", *plain)
            entry: dict[str, Any] = {"model": model, "reference": reference, "weight": weight}
            entry["chosen"] = reference is not None and weight == chosen[reference]
            for name in ("r2", "accuracy", "tau_truth"):
                if all(row[name] is not None for row in own.values()):
                    values = {seed: row[name] for seed, row in own.items()}
                    entry[name] = asdict(self.estimate(values))
                    if model == "mlp" and reference:
                        entry[f"{name}_over_plain"] = asdict(
                            self.estimate({seed: value - base[seed][name] for seed, value in values.items()})
                        )
            others = [_of(rows, seeds, other, *plain) for other in ("linear", "gam")]
            taus = {
                seed: value
                for seed, row in own.items()
                if (value := mean_tau([row["test"], *(other[seed]["test"] for other in others)])) is not None
            }
            if model == "mlp" and len(taus) == len(own):
                entry["tau_models"] = asdict(self.estimate(taus))
            entry["share"] = dict(zip(self.source.groups, np.mean([r["test"] for r in own.values()], 0), strict=True))
            entry["share_sd"] = dict(
                zip(self.source.groups, np.std([r["test"] for r in own.values()], 0, ddof=len(own) > 1), strict=True)
            )
            found[label(entry)] = entry
        truth = self.source.truth
        named = dict(zip(self.source.groups, truth, strict=True)) if truth else None
        return {
            "models": found,
            "truth": named,
            "groups": list(self.source.groups),
            "references": list(self.references),
        }

    def _chosen(self, rows: Sequence[Mapping[str, Any]], reference: str) -> float:
        seeds = self.settings.choosing_seeds or self.settings.seeds

        def quality(weight: float) -> float:
            return float(np.mean([row["r2"] for row in _of(rows, seeds, "mlp", reference, weight).values()]))

        return max(self.settings.weights, key=quality)

    def estimate(self, values: Values) -> Estimate:
        """Student's t over seeds. Seeds of a file are splits of the same rows, which are not independent: their variance is
        raised by the share of test to training rows (Nadeau and Bengio 2003)."""
        values_N = np.array(list(values.values()))
        mean = float(values_N.mean())
        if len(values_N) < 2:
            return Estimate(mean, None, None)
        own = self.settings.test_share
        factor = 1 / len(values_N) + (own / (1 - own) if self.settings.path else 0.0)
        half = float(stats.t.ppf(0.975, len(values_N) - 1)) * float(values_N.std(ddof=1)) * factor**0.5
        return Estimate(mean, mean - half, mean + half)


def label(entry: Mapping[str, Any]) -> str:
    """`linear`, `mlp`, or `mlp, truth 3` with the reference and the weight."""
    return f"{entry['model']}, {entry['reference']} {entry['weight']:g}" if entry["reference"] else str(entry["model"])


def _of(
    rows: Sequence[Mapping[str, Any]], seeds: Sequence[int], model: str, reference: str | None, weight: float
) -> dict[int, Mapping[str, Any]]:
    """The rows of one model by seed."""
    wanted = (model, reference, weight)
    return {
        row["seed"]: row
        for row in rows
        if row["seed"] in seeds and (row["model"], row["reference"], row["weight"]) == wanted
    }
