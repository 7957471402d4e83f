"""Makes the files of a case of the catalogue (tests/bad_input): what each entry under `files` describes, in a folder."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

import rlx.model
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.run.name import run_name
from tests.synthetic_run import write_run

LAB = Path(rlx.model.__path__[0]) / "lab_base"
WEIGHTS = "model.safetensors"
HEAD = "score.weight"


def make(folder: Path, name: str, what: Any) -> None:
    """Make `folder/name`. `what` is its text, or a mapping whose first key is one of MAKERS and says of which kind it is."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(what, Mapping):
        path.write_text(str(what), encoding="utf-8")
        return
    kind = next(iter(what))
    MAKERS[kind](path, **{key: value for key, value in what.items() if key != kind} | {"what": what[kind]})


def _latin1(path: Path, what: str) -> None:
    """Bytes, one for each character of the text."""
    path.write_bytes(what.encode("latin-1"))


def _gzip(path: Path, what: str, keep: int | None = None) -> None:
    """A gzip stream of the text; its first `keep` bytes alone where that is given."""
    path.write_bytes(gzip.compress(what.encode(), mtime=0)[:keep])


def _repeat(path: Path, what: str, times: int, before: str = "", after: str = "") -> None:
    path.write_text(before + what * times + after, encoding="utf-8")


def _fifo(path: Path, what: bool) -> None:
    assert what
    os.mkfifo(path)


def _pairs(
    path: Path, what: int, then: str = "", fields: Mapping[str, Any] | None = None, blanks: int | None = None
) -> None:
    """So many good pairs as JSON Lines, `{i}` in the text of `fields` being the number of each, and then more text. With
    `blanks`, one JSON list after so many blanks."""
    fields = fields or {"prompt": "why is it so {i} ?", "chosen": "because {i} .", "rejected": "no ."}
    rows = [
        {key: value.replace("{i}", str(i)) if isinstance(value, str) else value for key, value in fields.items()}
        for i in range(what)
    ]
    if blanks is not None:
        path.write_text(" " * blanks + json.dumps(rows), encoding="utf-8")
        return
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + then, encoding="utf-8")


def _link(path: Path, what: str) -> None:
    path.symlink_to(what)


def _folder(path: Path, what: Mapping[str, Any] | None) -> None:
    path.mkdir()
    for name, content in (what or {}).items():
        make(path, name, content)


def _run(
    path: Path, what: str, status: Mapping[str, Any] | None = None, files: Mapping[str, Any] | None = None
) -> None:
    """The run directory that `rlx train WHAT` opens, at `path/<its name>` or, where `WHAT` names it, there."""
    config = checked(compose(what.split())[0].config)
    directory = path / run_name(config)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if status is not None:
        (directory / "status.json").write_text(json.dumps(status), encoding="utf-8")
    for name, content in (files or {}).items():
        make(directory, name, content)


def _config(path: Path, what: str, set: Mapping[str, Any]) -> None:
    """The resolved config of `rlx train WHAT`, with some keys set to something else."""
    config = checked(compose(what.split())[0].config)
    path.write_text(yaml.safe_dump({**config, **set}), encoding="utf-8")


def _finished(path: Path, what: str, files: Mapping[str, Any] | None = None, without: tuple[str, ...] = ()) -> None:
    """A run directory as `rlx train` leaves it, of the kind hacked, better or flat; some files written over or removed."""
    write_run(path, kind=what, num_steps=20, num_prompts=16, num_samples=16)
    config = checked(compose([f"name={path.name}", "num_steps=20"])[0].config)
    (path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in without:
        (path / name).unlink()
    for name, content in (files or {}).items():
        make(path, name, content)


def _model(
    path: Path,
    what: str,
    judge: bool = False,
    without: tuple[str, ...] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    weights: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
) -> None:
    """The lab's model, as a reward model with `judge`. `settings` changes its JSON files, `weights` its tensors: a shape is
    one of ones, {row: .., value: ..} sets a number of one that is there, null takes it away."""
    assert what == "lab"
    shutil.copytree(LAB, path, ignore=shutil.ignore_patterns("__pycache__"))
    if judge:
        settings = {"config.json": {"architectures": ["LlamaForSequenceClassification"]}} | dict(settings or {})
        weights = {"lm_head.weight": None, HEAD: [1, 64]} | dict(weights or {})
    for name, changes in (settings or {}).items():
        old = json.loads((path / name).read_text(encoding="utf-8"))
        (path / name).write_text(json.dumps(old | dict(changes)), encoding="utf-8")
    if weights:
        tensors = load_file(path / WEIGHTS)
        for name, change in weights.items():
            _set(tensors, name, change)
        save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
    for name in without:
        (path / name).unlink()
    for name, content in (files or {}).items():
        make(path, name, content)


def _set(tensors: dict[str, torch.Tensor], name: str, change: Any) -> None:
    if change is None:
        tensors.pop(name, None)
    elif isinstance(change, list):
        tensors[name] = torch.ones(*change)
    else:
        if "shape" in change:
            tensors[name] = torch.ones(*change["shape"])
        tensors[name][change["row"]] = float(change["value"])


MAKERS: dict[str, Callable[..., None]] = {
    "latin1": _latin1,
    "gzip": _gzip,
    "repeat": _repeat,
    "pairs": _pairs,
    "link": _link,
    "fifo": _fifo,
    "folder": _folder,
    "run": _run,
    "config": _config,
    "finished": _finished,
    "model": _model,
}
