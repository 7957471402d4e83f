"""The judges of preference pairs on a report: reward models, gold and trivial baselines on the same held-out pairs."""

from collections.abc import Mapping
from typing import Any

from rlx.run.record import RunRecord

ACCURACIES = {
    "heldout": "held-out pairs",
    "train_clean": "training pairs, true labels",
    "train_flipped": "training pairs, flipped labels",
}
TRAITS = ("learning_rate", "dropout", "trunk")
NAMES = {
    "mean": "mean of the members' scores",
    "warm": "mean of the members' weights (WARM)",
    "gold": "gold",
    "longer": "the longer one",
    "bag_of_words": "bag of words",
}
Table = tuple[list[str], list[list[str]]]


def table(record: RunRecord) -> Table:
    """Headings and rows of all judges, with the columns that any of them has."""
    rows = [*record.members, *(row for row in record.judges if row["kind"] in NAMES)]
    accuracies = [name for name in ACCURACIES if any((row.get("accuracy") or {}).get(name) is not None for row in rows)]
    against = any(row.get("over_longer") for row in rows)
    traits = [name for name in TRAITS if any(row.get(name) is not None for row in rows)]
    headings = ["judge", *(ACCURACIES[name] for name in accuracies)]
    headings += ["held-out, over the longer one"] * against + [name.replace("_", " ") for name in traits]
    place = {id(row): f"member {row.get('index', i)}" for i, row in enumerate(record.members)}
    return headings, [
        [place.get(id(row)) or NAMES[row["kind"]]]
        + [_share(row, name) for name in accuracies]
        + [_over_longer(row)] * against
        + [_trait(row.get(name)) for name in traits]
        for row in rows
    ]


def line(record: RunRecord) -> Table:
    """The way from member 0 to member 1: accuracy of averaged weights, the diagonal between the two, averaged scores."""
    rows = [row for row in record.judges if row["kind"] == "line"]
    parts = [
        name for name in ("heldout", "train_flipped") if any(row["accuracy"].get(name) is not None for row in rows)
    ]
    headings = ["weight of member 1"]
    headings += [
        f"{ACCURACIES[p]}: {what}" for p in parts for what in ("averaged weights", "diagonal", "averaged scores")
    ]
    return headings, [
        [
            f"{row['weight']:g}",
            *(_percent(of[p]) for p in parts for of in (row["accuracy"], row["diagonal"], row["scores"])),
        ]
        for row in rows
    ]


def about_gold(record: RunRecord) -> str:
    """How good gold is as a judge and how independent of the proxies, for the verdict; empty where gold is a program that
    labelled the pairs itself."""
    rows = {row["kind"]: row for row in record.judges}
    if "gold" not in rows or "longer" not in rows:
        return ""
    return f"{_quality(rows['gold'], rows['longer'])}{_independence(rows['gold'], record)}"


def about_proxy(record: RunRecord) -> str:
    """Whether what was optimised knows anything, for the verdict; empty where it does, or where nothing tells."""
    optimised = {"warm": "warm", "single": "member"}.get(str(record.choice("reward")), "mean")
    row = next((row for row in (*record.judges, *record.members) if row.get("kind") == optimised), {})
    low, high = (row.get("interval") or {}).get("heldout") or (None, None)
    if low is None or high is None or low > 0.5:
        return ""
    than = "not distinguishable from chance" if high >= 0.5 else "worse than chance"
    return (
        f"The proxy is right in {_percent(row['accuracy']['heldout'])}{_bounds(row)} of {row['pairs_measured']['heldout']} "
        f"held-out pairs, which is {than}: it needs more pairs, or better training, before any policy does."
    )


def _quality(gold: Mapping[str, Any], longer: Mapping[str, Any]) -> str:
    """How often gold is right, beside chance and the longer one."""
    said = (
        f"Gold is a reward model: it is right in {_percent(gold['accuracy']['heldout'])}{_bounds(gold)} of "
        f"{gold['pairs_measured']['heldout']} held-out pairs of {gold['heldout_prompts']} prompts, the rule “the longer "
        f"one” in {_percent(longer['accuracy']['heldout'])}."
    )
    over, (low, high) = gold["over_longer"], gold["interval"]["heldout"]
    if low is not None and low <= 0.5:
        than = "It is not distinguishable from chance" if high >= 0.5 else "It is worse than chance"
        return f"{said} {than}: neither a gain nor a loss by such a gold means anything."
    if over["low"] is None:
        return f"{said} One prompt says nothing about which of the two is better."
    if over["low"] > 0:
        return f"{said} It knows more than length: {_points(over)} points over that rule."
    than = "is worse than" if over["high"] < 0 else "is not distinguishable from"
    return (
        f"{said} Gold {than} that rule ({_points(over)} points): such a gold measures length, and a gain by it may be one "
        "of length alone."
    )


def _independence(gold: Mapping[str, Any], record: RunRecord) -> str:
    """Whether gold errs where the proxies err, and which judge would not; empty where nothing speaks for it."""
    proxies = "the reward models that it judges" if record.members else "the policy that it judges"
    other = f"A reward model of another family judges more independently: {_judged_again(record)}."
    if gold.get("origin") == "trained":
        return (
            f" It was trained from the same base as {proxies}, which makes it the least independent judge: models of one base "
            f"err alike, so it misses part of the over-optimisation. {other}"
        )
    if gold.get("origin") == "alike":
        return (
            f" It has the architecture and the size of {proxies}: if they come from one base, they err alike, and gold misses "
            f"part of the over-optimisation. {other}"
        )
    return ""


def _judged_again(record: RunRecord) -> str:
    """The command that has these very completions judged by another gold."""
    if record.external:
        return "the same command with world.gold=PATH"
    return f"rlx evaluate {record.path.name} world.gold=PATH"


def about_limit(record: RunRecord) -> list[str]:
    """What the length limit leaves out of the given pairs, and what that does to the rule "the longer one"."""
    limit = next((row.get("limit") for row in record.judges if row["kind"] == "longer"), None) or {}
    sentences = []
    for split, name in (("train", "the pairs for the proxies"), ("heldout", "the held-out pairs")):
        if (one := limit.get(split)) and one["given"]:
            out = one["given"] - one["kept"]
            before, after = one["longer_given"], one["longer_kept"]
            kept = f" and in {_percent(after['value'])} of those kept" if after and out else ""
            sentences.append(
                f"The length limit leaves out {out:,} of {one['given']:,} of {name} ({100 * out / one['given']:.0f} %): the "
                f"longer one is right in {_percent(before['value'])} of all{kept}."
            )
    return sentences


def about_sample(record: RunRecord) -> str:
    """On how many of the training pairs the judges were measured; empty where on all, or where no member says."""
    member: Mapping[str, Any] = record.members[0] if record.members else {}
    measured, flipped = member.get("pairs_measured") or {}, member.get("flipped_pairs", 0)
    there = {"train_clean": member.get("pairs", 0) - flipped, "train_flipped": flipped}
    names = {"train_clean": "with true labels", "train_flipped": "with flipped ones"}
    said = [
        f"{measured[part]:,} of {number:,} {names[part]}"
        for part, number in there.items()
        if part in measured and measured[part] < number
    ]
    return f"Of the training pairs, judges are measured on {' and '.join(said)}." if said else ""


def _share(row: Mapping[str, Any], name: str) -> str:
    if (value := (row.get("accuracy") or {}).get(name)) is None:
        return ""
    error = (row.get("error") or {}).get(name)
    return _percent(value) if error is None else f"{100 * value:.1f} ± {100 * error:.1f} %"


def _over_longer(row: Mapping[str, Any]) -> str:
    over = row.get("over_longer")
    return "" if over is None or row.get("kind") == "longer" else _points(over)


def _points(over: Mapping[str, float | None]) -> str:
    """A difference in points of a percentage, with its interval."""
    assert over["value"] is not None
    value = f"{100 * over['value'] + 0.0:+.1f}".replace("-", "−")
    if over["low"] is None or over["high"] is None:
        return value
    low, high = (f"{100 * bound + 0.0:.1f}".replace("-", "−") for bound in (over["low"], over["high"]))
    return f"{value} [{low}, {high}]"


def _bounds(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]["heldout"]
    return "" if low is None else f" [{100 * low:.0f}, {100 * high:.0f}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _trait(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"
