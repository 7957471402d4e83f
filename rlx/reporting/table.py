"""The tables of a report: what was measured at the start and the end, the reward models, the costs, the small print."""

from typing import Any

import numpy as np

from rlx.reporting.description import model_name
from rlx.reporting.verdict import bounds, number
from rlx.run.record import RunRecord

MEASURED = (
    ("gold/score", "gold, in the judge's unit"),
    ("gold/score_sd_units", "gold, SD over the start"),
    ("gold/score_sd_units_length_controlled", "gold at the start's length, SD over the start"),
    ("gold/win_rate", "win rate over the start"),
    ("gold/win_rate_length_controlled", "win rate at the start's length"),
    ("proxy/score", "proxy, in SD of its reference set"),
    ("proxy/gold_correlation", "correlation of proxy and gold"),
    ("ensemble/std", "disagreement of the reward models"),
    ("objective/kl", "KL to the reference, nats"),
    ("objective/kl_start", "KL to the start, nats"),
    ("objective/chi2", "χ² to the reference"),
    ("objective/entropy", "entropy, nats per token"),
    ("completions/mean_length", "length, tokens"),
    ("completions/longer_by", "tokens longer than the start's answer"),
    ("completions/eos_rate", "share that ends by itself"),
    ("diversity/distinct_2", "distinct pairs of words"),
    ("diversity/similarity", "similarity across prompts"),
    ("diversity/meteor", "METEOR similarity across prompts"),
    ("diversity/repetition", "repetition within an answer"),
    ("diversity/duplicates", "answers that another prompt got too"),
)


def measured(record: RunRecord) -> list[tuple[str, str, str]]:
    """Label, at the first evaluation, at the last one (or the kept one), of everything that both have."""
    if len(record.heldout) < 2:
        return []
    first, last = record.heldout[0], record.end
    names = [*MEASURED, *((f"gold/{name}", f"factor: {name}") for name in record.factors)]
    return [
        (label, _with_bounds(first, name), _with_bounds(last, name))
        for name, label in names
        if first.get(name) is not None and last.get(name) is not None
    ]


def _with_bounds(row: dict[str, Any], name: str) -> str:
    known = f"{name}_low" in row and f"{name}_high" in row
    return number(row[name]) + (bounds(row[f"{name}_low"], row[f"{name}_high"]) if known else "")


def halves(record: RunRecord) -> list[tuple[str, str, str]]:
    """Gold of the kept step and of the last one, in SD over the start, on the half of prompts that chose and on the other;
    empty where no step was chosen."""
    if record.kept_step is None:
        return []
    rows = {row["step"]: row for row in (record.end, record.heldout[-1])}
    selection, report = (f"keep_best/{half}_sd_units" for half in ("selection", "report"))
    return [
        (record.place(step), _with_bounds(row, selection), _with_bounds(row, report))
        for step, row in rows.items()
        if selection in row and report in row
    ]


def costs(record: RunRecord) -> list[tuple[str, str, float]]:
    """Stage, time, share of the total in percent; the longest first, then the total."""
    stages = {name: seconds for name, seconds in (record.provenance.get("costs") or {}).items() if seconds is not None}
    total = sum(stages.values())
    if not total:
        return []
    ordered = sorted(stages.items(), key=lambda stage: -stage[1])
    return [*((name, duration(s), 100 * s / total) for name, s in ordered), ("total", duration(total), 100.0)]


def left_out(record: RunRecord) -> list[str]:
    """What was left out, clipped, cut off or warned of, each with its count."""
    provenance = record.provenance
    lines = [f"{name}: {count:,}" for name, count in (provenance.get("counts") or {}).items() if count]
    lines += [
        f"lines of {name} that cannot be read, and are not in this report: {n}" for name, n in record.unreadable.items()
    ]
    clipped = _largest(record, "heldout", "objective/chi2_clip_fraction")
    if clipped:
        lines.append(
            f"χ² is an underestimate: in up to {percent(clipped)} of held-out completions the ratio was beyond e^10"
        )
    tail = _largest(record, "heldout", "objective/chi2_tail")
    if record.choice("regularizer") == "chi2" and tail is not None and tail > 0.7:
        lines.append(
            f"χ² cannot be trusted where a few ratios decide it: the shape of their tail was up to {tail:.2f} "
            "(above 0.7 neither the estimate nor its interval holds)"
        )
    share = record.series("train", "objective/penalty_share")[1]
    if most := int((share > 0.9).sum()):
        lines.append(
            f"the penalty made more than 90 % of the reward's variance in {most:,} of {len(share):,} rollouts: there the policy "
            "learnt from a few extreme ratios and hardly from the proxy"
        )
    if rewards := _largest(record, "train", "objective/reward_clip_fraction"):
        lines.append(f"rewards clipped: up to {percent(rewards)} of a rollout's")
    cut = 1 - min(record.series("heldout", "completions/eos_rate")[1], default=1.0)
    if cut > 0:
        lines.append(f"cut off at the length limit: up to {percent(cut)} of held-out completions")
    if len(record.heldout) and record.standardised("gold") is None:
        lines.append(
            "gold is not shown in standard deviations: there is no evaluation of the start policy, or it has no spread"
        )
    return lines


def provenance(record: RunRecord) -> list[tuple[str, str]]:
    """Label and value of where the numbers come from."""
    known = record.provenance
    git, machine = known.get("git") or {}, known.get("machine") or ""
    if isinstance(git, str):
        git = {"commit": git}
    commit = (
        f"{git.get('commit')}{' with uncommitted changes' if git.get('dirty') else ''}"
        if git.get("commit")
        else "not a checkout"
    )
    if isinstance(machine, dict):
        machine = ", ".join(
            f"{value} {'CPUs' if key == 'cpus' else ''}".strip() for key, value in machine.items() if value
        )
    rows = [
        ("run directory", record.path.name),
        ("started", record.status.get("started")),
        ("ended", record.status.get("ended")),
        ("seed, data seed", f"{record.config.get('seed')}, {record.config.get('data_seed')}"),
        ("base model", model_name(record)),
        ("commit", commit if known else None),
        ("python", known.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in (known.get("packages") or {}).items())),
        ("machine", machine),
        ("processes", _processes(record)),
    ]
    return [(label, str(value)) for label, value in rows if value]


def _processes(record: RunRecord) -> str:
    """How many trained it, and how its models were spread over them."""
    num = record.provenance.get("processes")
    compute = str((record.config.get("choices") or {}).get("compute") or "")
    return "" if num is None else f"{num} ({compute})" if compute else str(num)


def artefacts(record: RunRecord) -> list[tuple[str, str]]:
    """Name and address of what the run was made of, the reward models included."""
    known = {str(name): str(value) for name, value in (record.provenance.get("artefacts") or {}).items()}
    for i, member in enumerate(record.members):
        if member.get("address") and str(member["address"]) not in known.values():
            known[f"reward member {i}"] = str(member["address"])
    return list(known.items())


def duration(seconds: float) -> str:
    """2 h 05 min, 2 min 08 s or 3.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float) -> str:
    """A share of 1 as per cent; never "0 %" for what is not none."""
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


def _largest(record: RunRecord, split: str, name: str) -> float:
    return float(np.max(record.series(split, name)[1], initial=0.0))
