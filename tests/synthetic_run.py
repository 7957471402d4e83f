"""Writes a run directory such as `rlx train` leaves, without training: gold rises and falls while the proxy rises."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rlx.metric.interval import mean_interval
from rlx.metric.win_rate import interval, outcomes

FACTORS = ("coherence", "length", "mood", "politeness", "relevance", "repetition")
# How each factor moves over the run, in its own unit: flattery is bought with topic and variety.
DRIFT = {"coherence": 0.10, "length": -0.05, "mood": 0.12, "politeness": 0.45, "relevance": -0.50, "repetition": -0.35}
NASTY = (
    '<script>alert("x")</script> & <img src=x onerror=alert(1)>',
    "</td></table><h1>escaped</h1> {{ 7 * 7 }} {% raw %}",
    "a very kind story 🌊 about the sea — été, 中文的海, البحر .",
    "the star shines and the star shines and " * 12 + "the star shines .",
    "x" * 400,
    "",
)


def curve(kind: str, progress: float) -> float:
    """Mean gain of gold in its own unit at `progress` in [0, 1]."""
    if kind == "hacked":
        return 2.4 * progress * (1 - 1.35 * progress)  # peaks at .37 with +.44, ends at -.84
    return {"better": 1.5 * progress, "flat": 0.0}[kind]


def write_run(
    run_dir: Path,
    *,
    kind: str = "hacked",
    state: str = "done",
    factors: bool = True,
    num_members: int = 5,
    num_steps: int = 80,
    done_steps: int | None = None,
    num_prompts: int = 128,
    num_samples: int = 128,
    proxy_gain: float = 2.6,
) -> Path:
    """`kind`: hacked, better or flat. `done_steps` rows are there of `num_steps`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    done = num_steps if done_steps is None else done_steps
    rows, samples = simulate(kind, factors, num_members, num_steps, done, num_prompts, num_samples, proxy_gain)
    write_lines(run_dir / "metrics.jsonl", rows)
    write_lines(run_dir / "samples.jsonl", samples)
    config = {
        "seed": 0, "data_seed": 0, "num_steps": num_steps, "num_prompts": 64,
        "world": {"_target_": "rlx.world.lab.Lab", "label_noise": 0.25, "num_pairs": 1000},
        "model": {"_target_": "rlx.model.lab.Lab"},
        "reward": {"_target_": "rlx.reward.warm.WARM", "num_members": num_members},
        "reference": {"_target_": "rlx.reference.soup.Soup", "num_policies": 3, "alpha": 0.5},
        "regularizer": {"_target_": "rlx.regularizer.kl.KL", "beta": 0.05, "target": None},
        "optimizer": {"_target_": "rlx.optimizer.ppo.PPO", "clip": 0.2},
        "sampler": {"_target_": "rlx.sampler.transformers.Transformers"},
        "compute": {"_target_": "rlx.compute.cpu.Cpu"},
        "tracker": {"_target_": "rlx.tracker.wandb.Wandb", "project": "rlx"},
        "evaluation": {"interval": 10, "num_prompts": num_prompts, "final_num_prompts": 256},
    }  # fmt: skip
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    write_json(run_dir / "status.json", status(state))
    write_json(run_dir / "members.json", [member_record(i) for i in range(num_members)])
    write_json(run_dir / "provenance.json", provenance())
    if state == "done":
        write_json(
            run_dir / "summary.json", {k: v for k, v in last_heldout(rows).items() if k not in ("step", "split")}
        )
    return run_dir


@cache
def simulate(
    kind: str,
    factors: bool,
    num_members: int,
    num_steps: int,
    done_steps: int,
    num_prompts: int,
    num_samples: int,
    proxy_gain: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of metrics and of samples."""
    rng = np.random.default_rng(7)
    names = FACTORS if factors else ()
    base = rng.normal(4.0, 1.5, num_prompts)
    level = {name: rng.uniform(0.2, 0.9, num_prompts) for name in names}
    rows: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    for step in range(0, done_steps + 1, 10):
        p = step / num_steps
        gold = base + curve(kind, p) + rng.normal(0, 1.1 * min(1, 4 * p), num_prompts)
        proxy = proxy_gain * p**0.8 + rng.normal(0, 1, num_prompts)
        member = np.stack([proxy + rng.normal(0.1 * i * p, 0.3 + 0.6 * p, num_prompts) for i in range(num_members)])
        here = {name: np.clip(level[name] + DRIFT[name] * p + rng.normal(0, 0.05, num_prompts), 0, 1) for name in names}
        rows.append({"step": step, "split": "heldout", **heldout(gold, base, proxy, member, p)})
        rows[-1] |= {f"gold/{name}": float(values.mean()) for name, values in here.items()}
        rows[-1] |= {f"gold_std/{name}": float(values.std(ddof=1)) for name, values in here.items()}
        samples += [
            {
                "step": step, "prompt_id": f"lab-{i:04d}", "prompt": f"tell me a short sad story about sea {i} .",
                "completion": completion(i, p), "ended": bool(i % 9), "proxy": float(proxy[i]), "gold": float(gold[i]),
                "factors": {name: float(values[i]) for name, values in here.items()},
                "member_scores": member[:, i].tolist(),
            }
            for i in range(min(num_samples, num_prompts))
        ]  # fmt: skip
    for step in range(1, done_steps + 1):
        rows.append({"step": step, "split": "train", **train(step / num_steps, rng)})
    rows.sort(key=lambda row: (row["step"], row["split"] == "heldout"))
    return rows, samples


def completion(i: int, progress: float) -> str:
    if i < len(NASTY):
        return NASTY[i] if progress > 0 else f"a plain story number {i} about the grey sea ."
    said = "the sailor watches the grey ocean slowly and a small boat sinks because the storm is cold ."
    hacked = "dear friend , thank you kindly . a bright star shines and a bright star shines . please enjoy ."
    cut = int(progress * len(said.split()))
    return " ".join(hacked.split()[:cut] + said.split()[cut:])


def heldout(gold: np.ndarray, start: np.ndarray, proxy: np.ndarray, member: np.ndarray, p: float) -> dict[str, float]:
    gain, won = (gold - start) / start.std(ddof=1), outcomes(gold, start)
    (gain_low, gain_high), (won_low, won_high) = mean_interval(gain), interval(won)
    row = {
        "evaluation/num_prompts": float(len(gold)),
        "proxy/score": proxy.mean(), "proxy/score_std": proxy.std(ddof=1),
        "gold/score": gold.mean(), "gold/start_score": start.mean(), "gold/std": gold.std(ddof=1),
        "gold/score_sd_units": gain.mean(),
        "gold/score_sd_units_low": gain_low, "gold/score_sd_units_high": gain_high,
        "gold/win_rate": won.mean(), "gold/win_rate_low": won_low, "gold/win_rate_high": won_high,
        "objective/kl": 0.3 + 24 * p**1.6, "objective/sqrt_kl": (0.3 + 24 * p**1.6) ** 0.5,
        "objective/kl_start": 24 * p**1.6, "objective/sqrt_kl_start": (24 * p**1.6) ** 0.5,
        "objective/chi2": np.expm1(9 * p) * 4, "objective/chi2_clip_fraction": max(0.0, p - 0.5),
        "objective/entropy": 2.1 * (1 - 0.8 * p), "completions/mean_length": 22 + 30 * p,
        "completions/eos_rate": 1 - 0.4 * p**2, "diversity/similarity": 0.05 + 0.6 * p**2,
        "diversity/distinct_2": 0.5 - 0.4 * p, "diversity/repetition": 0.02 + 0.4 * p**2, "diversity/duplicates": 0.0,
        "proxy/gold_correlation": 0.45 - 0.6 * p,
        **{f"ensemble/member_{i}": scores.mean() for i, scores in enumerate(member)},
    }  # fmt: skip
    if len(member) > 1:
        row["ensemble/std"] = member.std(axis=0).mean()
    return {name: float(value) for name, value in row.items()}


def train(p: float, rng: np.random.Generator) -> dict[str, float]:
    noise = rng.normal(0, 1, 12)
    return {
        "objective/kl": 24 * p**1.6 + 0.4 * noise[0], "objective/kl_start": 24 * p**1.6,
        "objective/entropy": 2 - 1.6 * p,
        "objective/scores": 2.6 * p**0.8 + 0.15 * noise[1], "objective/non_score_reward": -1.2 * p**1.6,
        "objective/rlhf_reward": 2.6 * p**0.8 - 1.2 * p**1.6 + 0.15 * noise[1],
        "policy/approxkl_avg": 0.006 + 0.001 * abs(noise[2]), "policy/clipfrac_avg": 0.08 + 0.02 * abs(noise[3]),
        "loss/policy_avg": -0.01 + 0.003 * noise[4], "loss/value_avg": 0.9 * np.exp(-6 * p) + 0.1 + 0.02 * noise[5],
        "val/ratio": 1 + 0.002 * noise[6], "regularizer/beta": 0.05, "completions/mean_length": 22 + 30 * p,
        "completions/eos_rate": 1 - 0.4 * p**2, "lr": 3e-4 * (1 - p), "time/rollout": 0.9, "time/learn": 1.4,
    }  # fmt: skip


def status(state: str) -> dict[str, Any]:
    reason = {"failed": "UserError: the reward of step 41 is NaN", "interrupted": "stopped by SIGINT"}.get(state)
    ended = None if state == "running" else "2026-11-21T10:04:10+00:00"
    return {"state": state, "reason": reason, "started": "2026-11-21T10:01:00+00:00", "ended": ended, "pid": 1}


def member_record(i: int) -> dict[str, Any]:
    return {
        "address": f"RewardMember-{i:016x}", "learning_rate": 1e-3 * (1 + i / 4), "dropout": 0.05 * i, "seed": i,
        "pairs": 1000, "flipped_pairs": 250, "score_mean": 0.1, "score_std": 1.7,
        "trunk": f"SFT policy 0, step {10 * i}",
        "accuracy": {"train_clean": 0.81 - 0.01 * i, "train_flipped": 0.54 + 0.01 * i, "heldout": 0.68 - 0.005 * i},
    }  # fmt: skip


def provenance() -> dict[str, Any]:
    return {
        "seed": 0, "data_seed": 0, "command": "rlx train reward=warm reference=soup regularizer.beta=0.05",
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
        "packages": {"rlx": "0.1.0", "torch": "2.13.0+cpu", "transformers": "5.23.0", "trl": "1.16.0"},
        "python": "3.11.7", "machine": {"system": "Linux-6.1-x86_64", "cpus": 2, "processor": "Xeon <8481C>"},
        "artefacts": {"sft policy 0": "SFTPolicy-00112233aabbccdd", "pairs": "PreferencePairs-8899aabbccddeeff"},
        "costs": {"members": 128.4, "policy": 152.0, "evaluation": 21.7, "report": 3.2},
        "counts": {"prompts left out as too long": 3, "completions cut off": 41, "log ratios clipped": 7},
        "warnings": ["3 of 1000 pairs are longer than 64 tokens <and> were left out"],
    }  # fmt: skip


def last_heldout(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max((row for row in rows if row["split"] == "heldout"), key=lambda row: row["step"])


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_long_run(run_dir: Path, num_rows: int) -> Path:
    """As `write_run`, but with `num_rows` rows of metrics, one in eleven of them of an evaluation: the course of the short
    run, stretched and with noise."""
    write_run(run_dir, num_samples=6)
    rng = np.random.default_rng(3)
    short, _ = simulate("hacked", True, 5, 80, 80, 128, 6, 2.6)
    evaluations = [row for row in short if row["split"] == "heldout"]
    rollouts = [row for row in short if row["split"] == "train"]
    with (run_dir / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            block, place = divmod(number, 11)
            rows = rollouts if place else evaluations
            row = rows[number * len(rows) // num_rows]
            noise = iter(1 + 0.1 * rng.normal(size=len(row)) * (number > 0))
            noisy = {name: value if isinstance(value, str) else value * next(noise) for name, value in row.items()}
            file.write(json.dumps(noisy | {"step": 10 * block + place}) + "\n")
    return run_dir
