"""What the reward models of a run find important, in a table and in sentences, and where they disagree."""

import math
from collections.abc import Sequence
from typing import Any

from rlx.reporting.verdict import number
from rlx.run.record import RunRecord

NAMES = {"mean": "mean of the members' scores", "warm": "mean of the members' weights (WARM)", "gold": "gold"}
NEARLY_ALL = 0.95  # of the importance
Table = tuple[list[str], list[list[str]]]


def name(row: dict[str, Any]) -> str:
    """How a row's model is called."""
    return f"member {row['index']}" if row["kind"] == "member" else NAMES[row["kind"]]


def order(importance: dict[str, Any]) -> list[str]:
    """The groups, most important first: to gold where it was measured, else to the members on average."""
    rows = of_kind(importance, "gold") or of_kind(importance, "member")
    return sorted(importance["groups"], key=lambda g: -sum(row["share"][g] for row in rows))


def of_kind(importance: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The rows of the models of that kind."""
    return [row for row in importance["rows"] if row["kind"] == kind]


def table(record: RunRecord) -> Table:
    """Headings and rows: each model's share of importance per group ± its standard error, and its primary groups."""
    found = record.importance
    if not found:
        return [], []
    groups = order(found)
    rows = [
        [name(row), *(_share(row, g) for g in groups), ", ".join(g for g in groups if g in row["primary"])]
        for row in found["rows"]
    ]
    return ["model", *groups, "primary"], rows


def sentences(record: RunRecord) -> list[str]:
    """Which group is primary to whom, how far the members agree, and where they differ from each other and from gold."""
    found = record.importance
    members = of_kind(found, "member") if found else []
    if not members:
        return []
    groups, said = order(found), []
    if gold := of_kind(found, "gold"):
        said.append(f"Primary to gold: {_listed(g for g in groups if g in gold[0]['primary'])}.")
    always = [g for g in groups if all(g in row["primary"] for row in members)]
    never = [g for g in groups if not any(g in row["primary"] for row in members)]
    all_of = "every member" if len(members) > 1 else "the reward model"
    said.append(f"Primary to {all_of}: {_listed(always)}. Secondary to {all_of}: {_listed(never)}.")
    if full := next((g for g in groups if all(row["share"][g] >= NEARLY_ALL for row in members)), None):
        said.append(
            f"Nearly all of it lies in {full}: nothing else counts, or these texts hold little of the other groups."
        )
    if agreement := found["agreement"]:
        widest = max(groups, key=lambda g: agreement["range"][g])
        values = [row["share"][widest] for row in members]
        tau = "" if agreement["tau"] is None else f" (Kendall's tau {number(agreement['tau'])}, mean over pairs)"
        said.append(
            f"The {len(members)} members rank the groups alike{tau}."
            if agreement["tau"] == 1
            else f"The {len(members)} members do not rank the groups alike{tau}."
        )
        said.append(
            f"They differ most on {widest}: {_percent(min(values))} to {_percent(max(values))} of the importance."
        )
    if fixed := found["agreement"].get("orders"):
        said.append(
            f"The consistency property (their scores are too close, on all texts with groups taken out, for another order) fixes "
            f"{fixed['fixed']} of {fixed['pairs']} orders of two groups."
        )
    if held_to := [
        (row, held["held_to"]) for row, held in zip(members, record.members, strict=False) if held.get("held_to")
    ]:
        gaps = [sum(held[g] * math.log(held[g] / row["share"][g]) for g in groups) for row, held in held_to]
        mean = number(sum(gaps) / len(gaps))
        said.append(
            f"The loss held {all_of} to a reference (docs/attribution.md): KL(reference ‖ member) is {mean} nats on these texts, "
            "mean over members."
        )
    if gold:
        means = {g: sum(row["share"][g] for row in members) / len(members) for g in groups}
        most = max(groups, key=lambda g: means[g] - gold[0]["share"][g])
        least = min(groups, key=lambda g: means[g] - gold[0]["share"][g])
        said.append(
            f"Compared with gold, {'they lean' if len(members) > 1 else 'it leans'} more on {most} ({_percent(means[most])}, "
            f"gold {_percent(gold[0]['share'][most])}) and less on {least} ({_percent(means[least])}, gold "
            f"{_percent(gold[0]['share'][least])})."
        )
    return said


def _listed(groups: Any) -> str:
    return ", ".join(groups) or "none"


def _share(row: dict[str, Any], group: str) -> str:
    error = row["error"][group]
    return _percent(row["share"][group]) if error is None else f"{100 * row['share'][group]:.0f} ± {100 * error:.0f} %"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def drawn(importance: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The rows that a figure shows, gold last: members, the average of their weights, and gold."""
    return [row for kind in ("member", "warm", "gold") for row in of_kind(importance, kind)]
