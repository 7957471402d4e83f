"""The catalogue of bad input, tests/bad_input/*.yaml: each case is a command, the files around it, and what rlx answers.

Every case goes through the command's own entrance to its exit code. A mistake is one line on stderr, code 2, and nothing on
disk has changed; what is legitimate passes all checks. tests/bad_input/README.md says how to add one.
"""

import functools
import hashlib
import logging
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml

from rlx.artefact.store import Store
from rlx.cli import main
from rlx.command import composition
from tests.bad_files import make

FOLDER = Path(__file__).parent / "bad_input"
SECONDS = 60  # no answer may take longer; the fast cases take a hundredth
ENDS = "..."  # in an expected line, whatever stands there


def entries() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The name of each case, its theme and itself, which knows whether it is slow."""
    for path in sorted(FOLDER.glob("*.yaml")):
        theme = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for number, case in enumerate(theme.pop("cases")):
            slow = case.get("builds", False) or number % theme["fast"] > 0
            yield f"{path.stem}-{number}", theme, case | {"slow": slow}


CASES = [
    pytest.param(theme, case, id=name, marks=[pytest.mark.slow] if case["slow"] else [])
    for name, theme, case in entries()
]


@functools.cache
def _composition(folder: Path, extra: Path | None) -> composition.Composition:
    return WHOLE(folder, extra)


WHOLE = composition.Composition


def accepted(*arguments, **more):
    pytest.fail("it passed all checks, and the work would begin")


@pytest.fixture(scope="module")
def composed_once() -> Iterator[None]:
    """What the choices of a line compose is kept from case to case, as one command keeps it from cell to cell."""
    patch = pytest.MonkeyPatch()
    patch.setattr(composition, "Composition", lambda folder, extra: (WHOLE if extra else _composition)(folder, extra))
    yield
    patch.undo()


@pytest.fixture
def here(tmp_path, monkeypatch, composed_once):
    """An empty working directory, where runs, artefacts and data sets' caches would lie as well."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(logging.getLogger("rlx"), "propagate", True)  # a run that began has its own handlers
    monkeypatch.setattr("rlx.train.launch", accepted)
    monkeypatch.setattr("rlx.command.sweep._start", accepted)
    monkeypatch.setenv("RLX_RUNS", "runs")
    monkeypatch.setenv("RLX_CACHE", "cache")
    datasets.disable_progress_bars()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    for name in ("RLX_DEBUG", "RLX_TRUST", "HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return folder


def lying_in(folder: Path) -> dict[str, str]:
    """Every path below `folder`, with the hash of what it holds."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            whole = path.is_file() and not path.is_symlink()
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if whole else "-"
    return found


def words_of(theme: dict[str, Any], case: dict[str, Any]) -> list[str]:
    """The words of the theme come behind the verb, so that those of the case can change them."""
    words = case["rlx"] if isinstance(case["rlx"], list) else shlex.split(case["rlx"])
    words = [
        word.get("before", "") + word["repeat"] * word["times"] if isinstance(word, dict) else str(word)
        for word in words
    ]
    return [*words[:1], *case.get("words", theme.get("words", [])), *words[1:]]


def answer(theme: dict[str, Any], case: dict[str, Any], folder: Path, capsys: Any) -> tuple[int, str, str, list[str]]:
    """The exit code of a case, what it printed, its lines on stderr, and the paths that it made or changed."""
    for name, what in {**theme.get("files", {}), **case.get("files", {})}.items():
        if what != "none":
            make(folder, name, what)
    before = lying_in(folder)
    capsys.readouterr()
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"no answer within {SECONDS} s"))
    signal.alarm(SECONDS)
    try:
        code = main(words_of(theme, case))
    finally:
        signal.alarm(0)
    out, err = capsys.readouterr()
    after = lying_in(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return code, out, err.replace(str(folder), "HERE"), changed


def says(line: str, expected: str) -> bool:
    """Whether the parts of `expected` stand in `line`, in this order."""
    at = 0
    for part in expected.split(ENDS):
        found = line.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


@pytest.mark.parametrize(("theme", "case"), CASES)
def test_a_mistake_is_answered_in_one_line_and_what_is_legitimate_passes(
    theme, case, here, capsys, monkeypatch, caplog
):
    if case.get("without_gpu") and torch.cuda.is_available():
        pytest.skip("of a machine without a GPU")
    if not case.get("builds"):
        monkeypatch.setattr(Store, "fetch", accepted)
    for name, value in {**theme.get("env", {}), **case.get("env", {})}.items():
        monkeypatch.setenv(name, value)
    code, out, err, changed = answer(theme, case, here, capsys)
    said = [line for line in err.splitlines() if line.startswith("rlx: ")]
    if "because" in case:  # legitimate
        assert (code, said) == (0, []), err
        assert says(out + err + caplog.text, case.get("says", ""))
    else:
        assert (code, len(said)) == (case.get("code", 2), 1), f"code {code}: {err}"
        assert says(said[0].removeprefix("rlx: "), case["says"]), said[0]
        if case.get("builds"):  # the run says that it failed, and the store has no artefact
            assert any(name.endswith("/status.json") for name in changed)
            assert not [name for name in changed if name.endswith("/manifest.json")]
            return
        assert err.count("\n") == 1 and out == "", err + out
    assert changed == case.get("leaves", [])


def test_the_catalogue_is_large_and_no_case_is_there_twice():
    found = [(str(words_of(theme, case)), str(case.get("files")), str(case.get("env"))) for _, theme, case in entries()]
    assert len(found) >= 250
    assert len(set(found)) == len(found)
    assert all("says" in case or "because" in case for _, _, case in entries())
