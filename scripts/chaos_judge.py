"""Damage to files, and what is to be the same afterwards."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """`verdict`: same, said (a line tells what is lost) or violation. `story`: what was done and what came of it."""

    verdict: str
    story: str


def damage(path: Path, rng: random.Random) -> str:
    """Flip a bit of a random byte of `path`, cut it at a random length, or delete it; return what was done."""
    content = bytearray(path.read_bytes())
    how = rng.choice(("flip", "cut", "delete")) if content else "delete"
    if how == "delete":
        path.unlink()
        return "delete"
    at = rng.randrange(len(content))
    if how == "flip":
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content if how == "flip" else content[:at])
    return f"{how} at byte {at} of {len(content)}:"


def differences(whole: Path, folder: Path) -> Iterator[str]:
    """The files of runs in `folder` whose content is not that of the runs in `whole`; times do not count."""
    for status in sorted((whole / "runs").glob("*/status.json")):
        name = status.parent.name
        for file in (
            "metrics.jsonl",
            "samples.jsonl",
            "summary.json",
            "final_samples.jsonl",
            "model/model.safetensors",
        ):
            ours, theirs = (root / "runs" / name / file for root in (folder, whole))
            if not ours.is_file() or content_of(ours) != content_of(theirs):
                yield f"{name}/{file}"
        if not (folder / "runs" / name / "report.html").is_file():
            yield f"{name}/report.html"


def content_of(path: Path) -> object:
    """What is compared of a file: rows of numbers without times, of any other file the bytes."""
    if path.name != "metrics.jsonl":
        return path.read_bytes()
    try:
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    except ValueError:
        return path.read_bytes()
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


def table(outcomes: Iterable[Outcome], kinds: Sequence[str]) -> str:
    """A row for each kind of case, a column for each verdict."""
    counts = Counter((outcome.story.partition(":")[0], outcome.verdict) for outcome in outcomes)
    verdicts = ("same", "said", "violation")
    rows = [f"{'':24}" + "".join(f"{verdict:>11}" for verdict in verdicts)]
    for kind in (*kinds, "all"):
        numbers = [
            sum(n for (k, v), n in counts.items() if v == verdict and kind in (k, "all")) for verdict in verdicts
        ]
        rows += [f"{kind:24}" + "".join(f"{number:>11}" for number in numbers)] if sum(numbers) else []
    return "\n".join(rows)
