"""Writes a sweep such as `rlx train -m` leaves, without training: curves follow Gao et al.'s laws, seeds add their own noise."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import yaml

from rlx.comparison.goodhart import gain
from rlx.run.name import run_name
from rlx.run.sweep_index import CellRow, SweepDirectory, axes_of
from tests.synthetic_run import heldout, provenance, write_json, write_lines

GROUPS = {
    "reward": "single",
    "reference": "frozen",
    "optimizer": "ppo",
    "regularizer": "kl",
    "world": "lab",
    "model": "lab",
}
# a and b of gold's law; the reference and the regularizer change little
LAWS = {"single": (0.9, 0.62), "ensemble_wco": (0.95, 0.52), "ensemble_uwo": (1.0, 0.5), "warm": (1.25, 0.5)}
STEPS = range(0, 81, 10)


def write_sweep(
    runs_dir: Path,
    axes: Mapping[str, Sequence[str]],
    seeds: Iterable[int] = (0, 1, 2),
    *,
    failed: Sequence[int] = (),
    unfinished: Sequence[int] = (),
    noise: float = 0.3,
) -> Path:
    """The product of `axes` and `seeds`; the cells with these numbers failed before their first step, or stopped on the way."""
    overrides = [
        tuple(f"{key}={value}" for key, value in zip([*axes, "seed"], point, strict=True))
        for point in product(*axes.values(), seeds)
    ]
    rows = []
    for number, (words, own) in enumerate(zip(overrides, axes_of(overrides), strict=True)):
        config = config_of(words, runs_dir)
        run_dir = runs_dir / run_name(config)
        state = "failed" if number in failed else "interrupted" if number in unfinished else "done"
        write_cell(run_dir, config, state, noise)
        rows.append(CellRow(run_dir, config, words, own))
    directory = SweepDirectory(rows)
    for row in rows:
        row.seconds = 60.0
    directory.write()
    return directory.path


def config_of(words: Sequence[str], runs_dir: Path) -> dict[str, Any]:
    typed = dict(word.split("=", 1) for word in words)
    choices = {group: typed.get(group, default) for group, default in GROUPS.items()}
    config: dict[str, Any] = {
        "seed": int(typed["seed"]), "data_seed": 0, "num_steps": 80, "num_prompts": 64, "name": None,
        "runs_dir": str(runs_dir), "cache_dir": str(runs_dir), "choices": choices,
        "evaluation": {"interval": 10, "num_prompts": 128},
    }  # fmt: skip
    for group, choice in choices.items():
        config[group] = {"_target_": f"rlx.{group}.{choice}.{choice.title()}"}
    config["regularizer"]["beta"] = float(typed.get("regularizer.beta", 0.05))
    return config


def write_cell(run_dir: Path, config: Mapping[str, Any], state: str, noise: float) -> None:
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
    reason = {"failed": "UserError: the reward of step 41 is NaN <b>", "interrupted": "interrupted"}.get(state, "")
    write_json(run_dir / "status.json", {"state": state, "reason": reason})
    write_json(run_dir / "provenance.json", provenance())
    if state == "failed":
        return
    rows = bon_rows(config, noise) if config["choices"]["optimizer"] == "bon" else rl_rows(config, noise)
    write_lines(run_dir / "metrics.jsonl", rows if state == "done" else rows[: len(rows) // 2])
    if state == "done":
        write_json(run_dir / "summary.json", {k: v for k, v in rows[-1].items() if k not in ("step", "split", "bon/n")})


def rl_rows(config: Mapping[str, Any], noise: float) -> list[dict[str, Any]]:
    a, b = law(config)
    random = np.random.default_rng([config["seed"], crc32(run_name(config).encode())])
    reach = {"kl": 5.0, "chi2": 3.4}[config["choices"]["regularizer"]] * random.normal(1, 0.04)
    base, own = np.random.default_rng(7).normal(4.0, 1.5, 128), random.normal(0, noise)
    rows = []
    for step in STEPS:
        p = step / STEPS[-1]
        d = np.array(reach * p**0.8)
        gold = base + 1.5 * (gain("rl", d, a, b) + own * p) + random.normal(0, 0.3 * min(1, 4 * p), 128)
        proxy = 2.6 * p**0.8 + random.normal(0, 1, (3, 128)) + 0.1 * own
        row = heldout(gold, base, proxy.mean(0), proxy, p)
        row |= {"objective/kl_start": float(d**2), "objective/sqrt_kl_start": float(d)}
        rows.append({"step": step, "split": "heldout", **row})
    return rows


def bon_rows(config: Mapping[str, Any], noise: float) -> list[dict[str, Any]]:
    a, b = law(config)
    random = np.random.default_rng([config["seed"], crc32(run_name(config).encode())])
    own, start = (
        random.normal(0, noise),
        rl_rows({**config, "choices": {**config["choices"], "optimizer": "ppo"}}, noise)[0],
    )
    rows = [start]
    for n in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        kl = float(np.log(n) - (n - 1) / n)
        d = kl**0.5
        gold, proxy = float(gain("bon", np.array(d), 1.1 * a, 0.5 * b)) + own * d / 2, 1.35 * d
        units = {}
        for name, value in (("gold", gold), ("proxy", proxy)):
            units |= {
                f"{name}/score_sd_units{end}": value + by for end, by in (("", 0), ("_low", -0.1), ("_high", 0.1))
            }
        row = {
            "bon/n": n,
            "proxy/score": proxy,
            "gold/score": 4 + 1.5 * gold,
            "gold/win_rate": min(0.5 + gold / 4, 1.0),
            **units,
        }
        row |= {"objective/kl": kl, "objective/sqrt_kl": d, "objective/kl_start": kl, "objective/sqrt_kl_start": d}
        rows.append({"step": n, "split": "bon", **row})
    return rows


def law(config: Mapping[str, Any]) -> tuple[float, float]:
    """a and b of gold for these choices."""
    a, b = LAWS[config["choices"]["reward"]]
    soup = config["choices"]["reference"] == "soup"
    return a + 0.04 * soup, b - 0.02 * soup


def index_of(sweep_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (sweep_dir / "index.jsonl").read_text().splitlines()]
