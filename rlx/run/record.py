"""What a run has left in its directory, read back: the one source of its figures, its report and its model card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rlx.core.error import UserError
from rlx.run.columns import Columns
from rlx.run.name import is_external
from rlx.run.status import status_of

_ESTIMATED = ("score_sd_units", "win_rate", "score_sd_units_length_controlled", "win_rate_length_controlled")
# Metrics under gold/ that are not factors of the judge.
GOLD_METRICS = frozenset(
    {"score", "start_score", "std"} | {f"{name}{bound}" for name in _ESTIMATED for bound in ("", "_low", "_high")}
)


CLEANING = "cleaning.json"  # where pairs have weights
FINAL_SAMPLES = "final_samples.jsonl"  # of the final measurement, a row per prompt
AT_ONCE = 1000  # rows
_SPREAD = {"gold": "gold/std", "proxy": "proxy/score_std"}


@dataclass(frozen=True)
class RunRecord:
    """Rows are dicts as in the files. Steps ascend; of several rows of one step and split the last one counts."""

    path: Path
    config: dict[str, Any]
    status: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]  # empty unless the run is done
    members: list[dict[str, Any]]  # of members.json
    cleaning: dict[str, Any]  # what the pairs' weights are and find; empty where all pairs count alike
    judges: list[dict[str, Any]]  # the other rows of members.json: combined members, gold, trivial baselines
    importance: dict[str, Any]  # of importance.json: what the reward models find important; empty without
    train: Columns
    heldout: list[dict[str, Any]]
    bon: list[dict[str, Any]]  # of best-of-n: a row for each n, which is its step; else empty
    samples: list[dict[str, Any]]
    unreadable: dict[str, int]  # file -> lines that are not JSON (a kill cuts the last line)

    @property
    def measured(self) -> set[str]:
        """The names of all that was measured along the run."""
        return set().union(*self.heldout)

    @property
    def factors(self) -> list[str]:
        """The judge's factors that were measured along the run."""
        names = {name.removeprefix("gold/") for name in self.measured if name.startswith("gold/")}
        return sorted(names - GOLD_METRICS)

    @property
    def num_prompts(self) -> int | None:
        """Held-out prompts of an evaluation along the run."""
        if self.heldout and "evaluation/num_prompts" in self.heldout[0]:
            return int(self.heldout[0]["evaluation/num_prompts"])
        return (self.config.get("evaluation") or {}).get("num_prompts")

    @property
    def external(self) -> bool:
        """Whether it is the measurement of a policy that was trained elsewhere, by `rlx evaluate --policy`."""
        return is_external(self.config)

    @property
    def finished(self) -> bool:
        """Whether training and the final measurement are through: the summary is written after them."""
        return bool(self.summary)

    @property
    def kept_step(self) -> int | None:
        """The step whose policy was exported and measured in the end, where `checkpoint.keep_best` chose it."""
        step = self.summary.get("keep_best/step")
        return None if step is None else int(step)

    @property
    def end(self) -> dict[str, Any]:
        """The held-out row of the policy that the run leaves: of the kept step, else the last; {} without any."""
        return next((row for row in self.heldout if row["step"] == self.kept_step), (self.heldout or [{}])[-1])

    @property
    def best_of(self) -> int | None:
        """N of a best-of-n run; None of any other."""
        return int(self.bon[-1]["step"]) if self.bon else None

    @property
    def distilled(self) -> bool:
        """Whether the policy that was measured in the end was trained on the best of n."""
        return bool(self.bon) and bool((self.config.get("optimizer") or {}).get("distill"))

    def place(self, step: int) -> str:
        """What was measured at `step`, in words for a heading."""
        if self.best_of is None:
            return f"step {step}, kept" if step == self.kept_step else f"step {step}"
        named = f"distilled from the best of {step}" if self.distilled else f"best of {step}"
        return named if step else "start"

    def choice(self, group: str) -> str | None:
        """The name of the choice made for `group`, e.g. choice("reward") == "warm"."""
        if chosen := (self.config.get("choices") or {}).get(group):
            return str(chosen)
        target = (self.config.get(group) or {}).get("_target_")
        return target.split(".")[-2] if target else None

    def series(self, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the rows that have `name`, both of length S (0 where none has)."""
        return self._columns[split].series(name)

    @cached_property
    def _columns(self) -> dict[str, Columns]:
        return {"train": self.train, "heldout": Columns(self.heldout), "bon": Columns(self.bon)}

    def standardised(self, which: str) -> "Standardised | None":
        """`which` ("gold" or "proxy") along the evaluations, in SD of the start policy's completions; None where the
        row of step 0 is missing or has no spread. Bounds are 95 %, of the gain on the same prompts where measured."""
        std = _SPREAD[which]
        rows = [row for row in self.heldout if row.get(f"{which}/score") is not None]
        if not rows or rows[0]["step"] != 0 or not rows[0].get(std):
            return None
        start, unit = rows[0][f"{which}/score"], rows[0][std]
        values = np.array([row.get(f"{which}/score_sd_units", (row[f"{which}/score"] - start) / unit) for row in rows])
        errors = np.array([(row.get(std) or np.nan) / unit / (self.num_prompts or np.nan) ** 0.5 for row in rows])
        known = list(zip(rows, values, 1.96 * errors, strict=True))
        return Standardised(
            steps=np.array([row["step"] for row in rows]),
            values=values,
            low=np.array([row.get(f"{which}/score_sd_units_low", value - half) for row, value, half in known]),
            high=np.array([row.get(f"{which}/score_sd_units_high", value + half) for row, value, half in known]),
            errors=errors,
            unit=unit,
        )

    def standardised_by_n(self, which: str) -> "Standardised | None":
        """As `standardised`, along n of a best-of-n run: in SD over the prompts' first completions, against the mean of
        all their completions, which is n = 1."""
        names = [f"{which}/score_sd_units{bound}" for bound in ("", "_low", "_high")]
        values, low, high = (self.series("bon", name)[1] for name in names)
        if len(values) < 2 or len(values) != len(self.bon):
            return None
        steps, (_, spread) = self.series("bon", "bon/n")[0], self.series("heldout", _SPREAD[which])
        unknown = np.full(len(values), np.nan)  # the best of 8 and of 16 are of the same completions
        return Standardised(steps, values, low, high, errors=unknown, unit=float(spread[0]) if len(spread) else np.nan)

    def samples_at(self, step: int) -> dict[str, dict[str, Any]]:
        """Prompt id -> its sample at `step`."""
        return {row["prompt_id"]: row for row in self.samples if row["step"] == step}

    def final_samples(self) -> dict[str, dict[str, Any]]:
        """Prompt id -> its sample of the final measurement; empty where the run kept none."""
        return {row["prompt_id"]: row for rows in _json_lines(self.path / FINAL_SAMPLES, {}) for row in rows}

    @property
    def sampled_steps(self) -> list[int]:
        """Steps that samples were kept of."""
        return sorted({row["step"] for row in self.samples})


@dataclass(frozen=True)
class Standardised:
    """A score along S evaluations, in SD of the start's completions, with 95 % bounds (NaN where unknown)."""

    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    errors: np.ndarray  # standard error of each mean by itself, whatever the start was
    unit: float  # the SD, in the score's own unit


def load_record(run_dir: Path) -> RunRecord:
    """Read a run directory, finished or not. Raises UserError where it is not one; files not yet written
    read as empty."""
    run_dir = Path(run_dir)
    if not (run_dir / "config.yaml").is_file():
        raise UserError(
            f"{run_dir} is not a run directory: it has no config.yaml (rlx train prints the directory it writes to)"
        )
    config = _config(run_dir / "config.yaml")
    unreadable: dict[str, int] = {}
    train, measured = _metrics(run_dir / "metrics.jsonl", unreadable)
    members = _json(run_dir / "members.json", [])
    judges = list(members.values()) if isinstance(members, dict) else members
    if not isinstance(judges, list) or not all(isinstance(row, dict) for row in judges):
        raise UserError(
            f"{run_dir / 'members.json'} holds no rows of reward models; delete it, and the page goes without"
        )
    return RunRecord(
        path=run_dir,
        config=config,
        status=status_of(run_dir),
        provenance=_json(run_dir / "provenance.json", {}),
        summary=_json(run_dir / "summary.json", {}),
        members=[row for row in judges if row.get("kind", "member") == "member"],
        cleaning=_json(run_dir / CLEANING, {}),
        judges=[row for row in judges if row.get("kind", "member") != "member"],
        importance=_json(run_dir / "importance.json", {}),
        train=train,
        heldout=_by_step(measured, "heldout"),
        bon=_by_step(measured, "bon"),
        samples=[row for rows in _json_lines(run_dir / "samples.jsonl", unreadable) for row in rows],
        unreadable=unreadable,
    )


def _metrics(path: Path, unreadable: dict[str, int]) -> tuple[Columns, list[dict[str, Any]]]:
    """The rows of training, of which there may be very many, and the others."""
    train, others = Columns(), []
    for rows in _json_lines(path, unreadable):
        train.add([row for row in rows if row.get("split") == "train"])
        others += [row for row in rows if row.get("split") != "train"]
    return train, others


def _by_step(rows: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    last = {row["step"]: row for row in rows if row.get("split") == split}
    return [last[step] for step in sorted(last)]


def _config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as ex:
        raise UserError(
            f"{path} is not YAML: {' '.join(str(ex).split())[:200]}; mend it, or run the cell again"
        ) from ex
    if not isinstance(config, dict):
        raise UserError(f"{path} is no config of a run: a mapping of settings is expected; run the cell again")
    return config


def _json(path: Path, missing: Any) -> Any:
    if not path.is_file():
        return missing
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as ex:
        raise UserError(f"{path} is not JSON: {ex}; delete it, and the page goes without") from ex
    if isinstance(missing, dict) and not isinstance(found, dict):
        raise UserError(f"{path} holds no object; delete it, and the page goes without")
    return found


def _json_lines(path: Path, unreadable: dict[str, int]) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, many at a time."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        while lines := list(islice(file, AT_ONCE)):
            lines = [line for line in lines if line.strip()]
            rows = [row for row in _parsed(lines) if isinstance(row, dict) and isinstance(row.get("step"), int)]
            if lost := len(lines) - len(rows):
                unreadable[path.name] = unreadable.get(path.name, 0) + lost
            yield rows


def _parsed(lines: list[str]) -> list[Any]:
    """What each of `lines` holds; None where that is no JSON."""
    try:
        # Together they are parsed faster, and share the texts of their names, which take more room than the numbers.
        rows = json.loads(f"[{','.join(lines)}]")
        if len(rows) == len(lines):
            return rows
    except ValueError:
        pass
    return [_parsed_one(line) for line in lines]


def _parsed_one(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
