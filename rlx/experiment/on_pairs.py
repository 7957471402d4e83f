"""What a run's record says of its judges on preference pairs: members.json, importance.json, and numbers for the summary."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rlx.attribution.importance import divergence
from rlx.core.world import World

OF_TRAINING = ("accuracy", "accuracy_pairs")  # of member.json, measured when it was trained
SHARES = {"heldout": "heldout_accuracy", "train_flipped": "flipped_given_back"}


def judge_rows(
    members: Sequence[Path], paths: Mapping[str, Path], given_gold: Path | None = None
) -> list[dict[str, Any]]:
    """One row per judge, `kind` says which: "member" (in order, with how it was trained), "mean", "warm", "line", "gold",
    "longer", "bag_of_words". `paths` are those of a cell's recipes. The row of gold tells its `origin`, which says how
    independent it is of the members: "trained" here, from their base; `given_gold`, a checkpoint, "alike" in shape or "other";
    without that key nothing is known."""
    rows: list[dict[str, Any]] = []
    if found := paths.get("reward models on pairs"):
        rows = _json(found / "accuracy.json")
    for row, path in zip(rows, members, strict=False):
        trained = _json(path / "member.json")
        # How it was trained, and its accuracy on the same pairs as all other judges.
        row |= {"address": path.name} | {name: x for name, x in trained.items() if name not in OF_TRAINING}
    if found := paths.get("gold on pairs"):
        rows.append(_json(found / "gold.json") | _origin(members, paths, given_gold))
    if found := paths.get("baselines on pairs"):
        rows += _json(found / "baselines.json")
    return rows


def _origin(members: Sequence[Path], paths: Mapping[str, Path], given_gold: Path | None) -> dict[str, str]:
    if "gold reward model" in paths:
        return {"origin": "trained"}
    if given_gold is None or not members:
        return {}
    return {"origin": "alike" if _shape(given_gold) == _shape(members[0]) else "other"}


def _shape(directory: Path) -> list[Any]:
    """What models that were trained from one base have in common."""
    config = _json(directory / "config.json")
    return [config.get(key) for key in ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")]


def judge_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """pairs/heldout_accuracy_<judge> and pairs/flipped_given_back_<judge>, a judge being member_0, mean, warm, gold, longer
    or bag_of_words."""
    metrics = {}
    for row in rows:
        name = f"member_{row['index']}" if row["kind"] == "member" else row["kind"]
        if name == "line":
            continue
        for part, label in SHARES.items():
            if (value := row["accuracy"].get(part)) is not None:
                metrics[f"pairs/{label}_{name}"] = value
    return metrics


def importance_of(paths: Mapping[str, Path]) -> dict[str, Any]:
    """importance.json, as `rlx.supervised.importance.FactorImportance` has it; empty where nothing was attributed."""
    found = paths.get("factor importance")
    return _json(found / "importance.json") if found else {}


def importance_metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """importance/tau_members and importance/divergence_members, how far members agree on what is important, and
    importance/divergence_gold, the mean over members of KL(gold || member) in nats."""
    agreement = found.get("agreement") or {}
    metrics = {f"importance/{name}_members": agreement.get(name) for name in ("tau", "divergence")}
    rows = [row for row in found.get("rows", []) if row["kind"] == "member"]
    gold = next((row for row in found.get("rows", []) if row["kind"] == "gold"), None)
    if rows and gold:
        one_G, *members_MG = (torch.tensor([row["share"][g] for g in found["groups"]]) for row in (gold, *rows))
        metrics["importance/divergence_gold"] = float(torch.stack([divergence(one_G, m) for m in members_MG]).mean())
    return {name: value for name, value in metrics.items() if value is not None}


def cleaning_of(paths: Mapping[str, Path]) -> dict[str, Any] | None:
    """What the artefact of the pairs' weights tells of itself (`rlx.supervised.cleaning`); None where pairs count alike."""
    return _json(found / "cleaning.json") if (found := paths.get("pair weights")) else None


def cleaning_metrics(cleaning: Mapping[str, Any] | None) -> dict[str, float]:
    """cleaning/effective_share of the pairs; where labels were flipped, cleaning/auc of the weights and
    cleaning/auc_small_loss of the baseline that needs no trusted pair."""
    if cleaning is None:
        return {}
    metrics = {"cleaning/effective_share": cleaning["weights"]["effective_pairs"] / cleaning["pairs"]}
    if flips := cleaning["flips"]:
        metrics |= {"cleaning/auc": flips["weights"]["auc"], "cleaning/auc_small_loss": flips["small_loss"]["auc"]}
    return metrics


def check_pairs(world: World, paths: Mapping[str, Path]) -> None:
    """Raise UserError where models were trained on fewer pairs than the settings ask for now: an artefact may have been
    made under others, which are no part of its address."""
    if found := paths.get("preference pairs"):
        world.to_train_on("proxies", range(_json(found / "pairs.json")["pairs"]))
    if found := paths.get("gold reward model"):
        world.to_train_on("gold", range(_json(found / "member.json")["pairs"]))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
