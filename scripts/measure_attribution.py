"""Measure attribution=consistent in the lab: accuracy and importance of reward models by reference, weight and data seed.

    python scripts/measure_attribution.py --choose 100 101 --report 0 1 2 3 4 5

The weight of each reference has the highest mean held-out accuracy of member 0 on the choosing seeds; the control `wrong` has the
weight of `gold`. Reported are means over data seeds of differences to the
plain members of the same data seed, with 95 % intervals by Student's t.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from rlx.attribution.importance import divergence, mean_tau, tau
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.experiment.cell import cell_of
from rlx.metric.interval import mean_interval
from rlx.process.logs import speak

WEIGHTS = (0.1, 0.3, 1.0, 3.0)
REFERENCES = ("members", "gold", "wrong")
SHOWN = {
    "accuracy": "held-out accuracy",
    "flipped": "flips given back",
    "to_reference": "KL(reference || member)",
    "to_gold": "KL(gold || member)",
    "tau_gold": "tau to gold",
    "tau_members": "tau among members",
}


def measured(seed: int, num_members: int, reference: str | None, weight: float) -> dict[str, float]:
    """Means over the members of one cell, whose artefacts are built where they are missing."""
    words = ["reward=ensemble_mean", f"reward.num_members={num_members}", f"data_seed={seed}"]
    if reference:
        words += ["attribution=consistent", f"attribution.reference={reference}", f"attribution.weight={weight}"]
    cell = cell_of(checked(compose(words)[0].config))
    paths = {name: cell.store.fetch(recipe, seed) for name, recipe in (cell.models() | cell.importance()).items()}
    judged = [
        json.loads((paths[f"reward model {m.index}"] / "member.json").read_text(encoding="utf-8"))
        for m in cell.members()
    ]
    found = json.loads((paths["factor importance"] / "importance.json").read_text(encoding="utf-8"))
    shares = [[row["share"][g] for g in found["groups"]] for row in found["rows"] if row["kind"] == "member"]
    (gold,) = ([row["share"][g] for g in found["groups"]] for row in found["rows"] if row["kind"] == "gold")
    held_to = [[row["held_to"][g] for g in found["groups"]] for row in judged] if reference else []
    row = {
        "accuracy": np.mean([row["accuracy"]["heldout"] for row in judged]),
        "flipped": np.mean([row["accuracy"]["train_flipped"] for row in judged]),
        "to_gold": np.mean([kl(gold, share) for share in shares]),
        "tau_gold": np.mean([tau(gold, share) or 0.0 for share in shares]),
        "tau_members": mean_tau(shares) if len(shares) > 1 else None,
        "to_reference": np.mean([kl(r, s) for r, s in zip(held_to, shares, strict=True)]) if reference else None,
    }
    return {name: float(value) for name, value in row.items() if value is not None}


def kl(first: list[float], second: list[float]) -> float:
    return float(divergence(torch.tensor(first).double(), torch.tensor(second).double()))


def chosen(seeds: list[int]) -> dict[str, float]:
    """Reference -> weight."""
    plain = [measured(seed, 1, None, 0.0)["accuracy"] for seed in seeds]
    print(f"plain: {np.round(plain, 4).tolist()}", flush=True)
    weights = {}
    for reference in ("members", "gold"):
        found = {}
        for weight in WEIGHTS:
            rows = [measured(seed, 1, reference, weight) for seed in seeds]
            mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
            print(f"{reference} {weight:g}: { {k: round(v, 3) for k, v in mean.items()} }", flush=True)
            found[weight] = mean["accuracy"]
        weights[reference] = max(found, key=lambda weight: found[weight])
    return weights | {"wrong": weights["gold"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", type=int, nargs="*", default=[100, 101])
    parser.add_argument("--report", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5])
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument(
        "--weights", type=json.loads, help='in place of choosing: {"members": 0.3, "gold": 0.3, "wrong": 0.3}'
    )
    parser.add_argument("--out", type=Path, default=Path("attribution.json"))
    arguments = parser.parse_args()
    speak()
    weights = arguments.weights or chosen(arguments.choose)
    print(f"weights: {weights}", flush=True)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in ("plain", *REFERENCES)}
    for seed in arguments.report:
        rows["plain"].append(measured(seed, arguments.members, None, 0.0))
        for reference in REFERENCES:
            rows[reference].append(measured(seed, arguments.members, reference, weights[reference]))
        arguments.out.write_text(
            json.dumps({"weights": weights, "seeds": arguments.report, "rows": rows}, indent=1), encoding="utf-8"
        )
        print(f"data seed {seed}: { {name: round(of[-1]['accuracy'], 4) for name, of in rows.items()} }", flush=True)
    for name, label in SHOWN.items():
        print(label)
        for reference, of in rows.items():
            if name not in of[0]:
                continue
            values = np.array([row[name] for row in of])
            line = f"  {reference:8s} {values.mean():.3f}"
            if reference != "plain" and name in rows["plain"][0] and len(values) > 1:
                gaps = values - [row[name] for row in rows["plain"]]
                low, high = mean_interval(gaps)
                line += f"   less plain {gaps.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
            print(line)


if __name__ == "__main__":
    main()
