"""One model of one table, fitted, measured and attributed: an artefact, so that a study goes on where it was stopped."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from rlx.artefact.store import Store
from rlx.attribution.importance import importance, in_reverse, primary, shares
from rlx.attribution.shapley import game, shapley
from rlx.core.seed import seed_of
from rlx.tabular.models import EPS, Model, gam, linear, mlp
from rlx.tabular.settings import MlpSettings, ReferenceKind
from rlx.tabular.table import Part, Source, levels

NUM_ATTRIBUTED = 400  # rows of either part, whose Shapley values are exact
MASS = 0.8  # of the importance, which primary factors hold together
FIT = "fit.json"


@dataclass(frozen=True)
class SurveyFit:
    """fit.json: `r2` and (for a scale of levels) `accuracy` on test rows; `test` and `train`: the shares of importance on
    rows of either part; `primary`; `efficiency`: by how much base and attributions miss the prediction at most.

    A network without a penalty has `reference` None and `weight` 0, so that a study of any references finds it.
    """

    VERSION: ClassVar[int] = 1

    source: Source
    model: Literal["linear", "gam", "mlp"]
    numbers: MlpSettings | None
    reference: ReferenceKind | None
    prior: tuple[float, ...] | None  # of reference "given"
    weight: float

    def build(self, directory: Path, store: Store, seed: int) -> None:
        train, test = self.source.parts(seed)
        model = self._fitted(train, store, seed)
        predicted_B = model(torch.from_numpy(test.x_BF)).numpy()
        names = list(self.source.groups)
        row: dict[str, Any] = {"model": self.model, "reference": self.reference, "weight": self.weight, "groups": names}
        row |= quality(predicted_B, test.y_B, np.concatenate([train.y_B, test.y_B]))
        mean_F = torch.from_numpy(train.x_BF.mean(0))
        for name, part in (("train", train), ("test", test)):
            row[name], missed = self._shares(model, part, mean_F)
            row["efficiency"] = max(missed, row.get("efficiency", 0.0))
        row["primary"] = [names[g] for g in primary(row["test"], MASS)]
        (directory / FIT).write_text(json.dumps(row, indent=1), encoding="utf-8")

    def _fitted(self, train: Part, store: Store, seed: int) -> Model:
        if self.model != "mlp":
            return (linear if self.model == "linear" else gam)(train)
        assert self.numbers is not None
        groups = list(self.source.groups.values())
        reference_G = self.reference_of(store, seed)
        return mlp(train, self.numbers, groups, reference_G, self.weight, seed_of("survey mlp", seed))

    def _shares(self, model: Model, part: Part, mean_F: torch.Tensor) -> tuple[list[float], float]:
        x_BF = torch.from_numpy(part.x_BF[:NUM_ATTRIBUTED])
        groups = list(self.source.groups.values())
        plan = shapley(len(groups))
        values_SB = game(model, x_BF, mean_F, groups)(plan.kept_SG)
        phi_BG = plan.phi(values_SB)
        missed = (values_SB[0] + phi_BG.sum(1) - values_SB[-1]).abs().max()
        return shares(importance(phi_BG), EPS).tolist(), float(missed)

    def reference_of(self, store: Store, seed: int) -> tuple[float, ...] | None:
        """The shares that the network is held to: the mean of the linear and the additive model's on the training rows
        ("models"), the true ones ("truth"), those in reverse ("wrong": the truth's where it is known), or the prior."""
        if self.reference is None:
            return None
        if self.reference == "given":
            return self.prior
        truth = self.source.truth
        if self.reference == "truth" or (self.reference == "wrong" and truth is not None):
            assert truth is not None
            return truth if self.reference == "truth" else tuple(in_reverse(truth))
        others = [SurveyFit(self.source, kind, None, None, None, 0.0) for kind in ("linear", "gam")]
        found = np.mean([read(store.fetch(other, seed))["train"] for other in others], axis=0).tolist()
        return tuple(found) if self.reference == "models" else tuple(in_reverse(found))


def quality(predicted_B: np.ndarray, y_B: np.ndarray, all_y_N: np.ndarray) -> dict[str, float | None]:
    """`r2` = 1 - sum (y - f)^2 / sum (y - mean y)^2, and `accuracy`, the share of rows whose prediction is nearest to the
    stated level; None where the target is no scale of levels."""
    r2 = 1 - float(np.square(y_B - predicted_B).sum() / np.square(y_B - y_B.mean()).sum())
    scale = levels(all_y_N)
    if scale is None:
        return {"r2": r2, "accuracy": None}
    return {"r2": r2, "accuracy": float((np.clip(np.round(predicted_B), *scale) == y_B).mean())}


def read(directory: Path) -> dict[str, Any]:
    """What `SurveyFit` wrote."""
    return json.loads((directory / FIT).read_text(encoding="utf-8"))
