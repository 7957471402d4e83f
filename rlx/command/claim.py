"""`rlx claim NAME ...`: a declared claim becomes the cells that test it, checked before anything runs."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlx.command.check import checked, checked_claim
from rlx.command.compose import ComposedRun, compose_lines, conf_dir
from rlx.command.wording import CLAIMS
from rlx.core.claim import Claim
from rlx.core.error import UserError, unknown
from rlx.run.state import run_dir_of

# What may be typed beside a claim's name: how its cells run and where they lie, which changes no number but by rounding.
ALLOWED = ("sweep.", "compute", "runs_dir", "cache_dir", "tracker", "checkpoint.")
ALSO = {"plan": ("plan.",), "submit": ("slurm.",)}  # where those verbs take the claim's cells
Scope = Literal["report", "quick", "choose"]


@dataclass(frozen=True)
class DeclaredRun:
    """A run that a claim reads. `place`: its index among the values of match.key."""

    arm: str
    seed: int
    place: int
    run_dir: Path
    cell: ComposedRun


@dataclass(frozen=True)
class DeclaredClaim:
    """A claim by its name, with the runs that test it on the data seeds `seeds`."""

    name: str
    claim: Claim
    scope: Scope
    seeds: list[int]
    runs: list[DeclaredRun]


def names() -> list[str]:
    """Of all claims that rlx ships."""
    return sorted(path.stem for path in (conf_dir() / CLAIMS).glob("*.yaml"))


def load(word: str) -> tuple[str, Claim]:
    """The claim called `word`, or the one in the file `word`. Raises UserError for one that is not there, cannot be read, or
    contradicts itself."""
    import yaml

    path = Path(word).expanduser() if word.endswith((".yaml", ".yml")) else conf_dir() / CLAIMS / f"{word}.yaml"
    if not path.is_file():
        if word.endswith((".yaml", ".yml")):
            raise UserError(f"{word}: no such file; rlx claim --list shows the claims that rlx ships")
        raise UserError(unknown("claim", word, names()))
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(node, dict):
        raise UserError(f"{path}: it must hold the keys of a claim, as {conf_dir() / CLAIMS}/*.yaml do")
    try:
        claim = checked_claim(node)
        if (line := contradiction(claim)) is not None:
            raise UserError(line)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return path.stem, claim


def contradiction(claim: Claim) -> str | None:
    """What a claim says against itself, in one line."""
    if len(claim.contrast) != 2 or claim.contrast[0] == claim.contrast[1]:
        return f"contrast={claim.contrast}: it compares two different arms"
    for key, arm in [("contrast", arm) for arm in claim.contrast] + [("needs", need.arm) for need in claim.needs]:
        if arm not in claim.arms:
            return f"{key}: {unknown('arm', arm, claim.arms)}"
    if both := sorted(set(claim.seeds.choose) & set(claim.seeds.report)):
        return f"seeds: {both[0]} is in choose and in report; what chose a setting must not report it"
    if len(set(claim.seeds.report)) != len(claim.seeds.report) or len(claim.seeds.report) < 3:
        return f"seeds.report={claim.seeds.report}: a verdict takes three different data seeds and more"
    if not claim.quick.report or set(claim.quick.report) - set(claim.seeds.report):
        return f"quick.report={claim.quick.report}: take some of seeds.report, {claim.seeds.report}"
    first, second = (settings(claim, arm) for arm in claim.contrast)
    if first == second:
        return f"arms {claim.contrast[0]} and {claim.contrast[1]} are the same settings"
    if claim.match is not None:
        if set(claim.match.values) != set(claim.contrast):
            return f"match.values: it names the values of both arms of the contrast, {' and '.join(claim.contrast)}"
        if arm := next((arm for arm, values in claim.match.values.items() if len(set(values)) < 2), None):
            return (
                f"match.values.{arm}={claim.match.values[arm]}: a strength lies between two different values and more"
            )
        if arm := next((arm for arm in claim.contrast if claim.match.key in settings(claim, arm)), None):
            return f"arm {arm} sets {claim.match.key}, which match varies"
    for arm in claim.arms:
        if key := next((key for key in ("seed", "data_seed") if key in settings(claim, arm)), None):
            return f"arm {arm} sets {key}; seeds.report does"
    return None


def settings(claim: Claim, arm: str) -> dict[str, str]:
    """Key -> value of what an arm sets, its own over those of all arms."""
    words = [*claim.common.split(), *claim.arms[arm].split()]
    if wrong := next((word for word in words if "=" not in word), None):
        raise UserError(f"arm {arm}: {wrong} is no setting; write key=value")
    return dict(word.split("=", 1) for word in words)


def typed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """What was typed. Raises UserError."""
    told = f"claims, files of your own, or all; and settings of how runs are made: {', '.join(ALLOWED)}"
    parser.add_argument("words", nargs="*", metavar="NAME", help=told)
    parser.add_argument("--list", action="store_true", help="show every claim that rlx ships, and run none")
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--quick", action="store_true", help="shorter runs on fewer data seeds")
    scope.add_argument("--choose", action="store_true", help="run on the data seeds that settings are chosen on")
    parser.add_argument("--no-run", action="store_true", help="judge the runs that are there, and start none")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write results.md and images/claims.png there as well"
    )
    found = parser.parse_intermixed_args(list(arguments))
    if found.list and (found.words or found.quick or found.choose):
        raise UserError("--list shows all claims; leave the rest out")
    return found


def declared_by(given: argparse.Namespace, allowed: Sequence[str] = ALLOWED) -> "list[DeclaredClaim] | None":
    """The claims that were named; None where they are to be listed."""
    if given.list:
        return None
    return declare(given.words, "quick" if given.quick else "choose" if given.choose else "report", allowed)


def cells_for(verb: str, parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[ComposedRun]:
    """The cells of `rlx plan claim NAME ...` and `rlx submit claim NAME ...`. Raises UserError."""
    given = typed(parser, arguments)
    if given.list or given.no_run or given.to:
        raise UserError(f"rlx {verb} claim takes names, --quick and key=value; the rest is for rlx claim")
    return cells_of(declared_by(given, (*ALLOWED, *ALSO[verb])) or [])


def declare(words: Sequence[str], scope: Scope, allowed: Sequence[str] = ALLOWED) -> list[DeclaredClaim]:
    """The claims that `words` name (`all`: every one that rlx ships), each with its runs. Words with = are settings of how the
    runs are made, of those that are `allowed`. Raises UserError before anything is written."""
    wanted = [word for word in words if "=" not in word]
    extra = dict(word.split("=", 1) for word in words if "=" in word)
    if not wanted:
        raise UserError(f"rlx claim needs a name, or all; there are: {', '.join(names())}")
    for key in extra:
        if not key.startswith(tuple(allowed)):
            raise UserError(
                f"{key}: a claim declares its settings beforehand; what may be typed is {', '.join(allowed)}; "
                f"for other settings copy {conf_dir() / CLAIMS / (wanted[0] + '.yaml')} and name your file"
            )
    listed = list(dict.fromkeys(name for word in wanted for name in (names() if word == "all" else [word])))
    loaded = [load(word) for word in listed]
    lines = [line for name, claim in loaded for line in _lines(claim, scope, extra)]
    cells = iter(compose_lines([words for *_, words in lines]))
    found = []
    for name, claim in loaded:
        runs = []
        for arm, seed, place, _ in _lines(claim, scope, extra):
            cell = next(cells)
            try:
                run_dir = run_dir_of(checked(cell.config))
            except UserError as error:
                raise UserError(f"claim {name}, arm {arm}: {error}") from None
            runs.append(DeclaredRun(arm, seed, place, run_dir, cell))
        found.append(DeclaredClaim(name, claim, scope, _seeds(claim, scope), runs))
    return found


def cells_of(declared: Sequence[DeclaredClaim]) -> list[ComposedRun]:
    """Every run of the claims once, data seed by data seed, so that what is stopped leaves whole units behind."""
    found: dict[Path, tuple[int, ComposedRun]] = {}
    for one in declared:
        for run in one.runs:
            found.setdefault(run.run_dir, (one.seeds.index(run.seed), run.cell))
    return [cell for _, cell in sorted(found.values(), key=lambda item: item[0])]


def _seeds(claim: Claim, scope: Scope) -> list[int]:
    if scope == "choose" and not claim.seeds.choose:
        raise UserError(f"--choose: {claim.title} chose nothing; its seeds.choose is empty")
    return {"report": claim.seeds.report, "quick": claim.quick.report, "choose": claim.seeds.choose}[scope]


def _lines(claim: Claim, scope: Scope, extra: dict[str, str]) -> list[tuple[str, int, int, list[str]]]:
    """(arm, data seed, place among the matched values, words of the run)."""
    shorter = dict(word.split("=", 1) for word in claim.quick.words.split()) if scope == "quick" else {}
    found = []
    for arm in claim.arms:
        values: list[Any] = [None]
        if claim.match is not None and arm in claim.contrast:
            values = list(claim.match.values[arm])
        for place, value in enumerate(values):
            strength = {} if value is None or claim.match is None else {claim.match.key: f"{value:g}"}
            for seed in _seeds(claim, scope):
                own = {
                    **settings(claim, arm),
                    **shorter,
                    **strength,
                    "seed": str(seed),
                    "data_seed": str(seed),
                    **extra,
                }
                found.append((arm, seed, place, [f"{key}={text}" for key, text in own.items()]))
    return found
