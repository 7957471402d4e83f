"""The shape of the tree: files at the root of rlx/ are verbs, directories are nouns, tests mirror them."""

import ast
import subprocess
from pathlib import Path

import pytest

from rlx.cli import COMPOSED, PLAIN

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "rlx").rglob("*.py"))
DRAWERS = {"utils", "util", "common", "base", "helpers", "helper", "misc", "tools"}
MAX_LINES = {"rlx": 300, "scripts": 300, "tests": 400}


def test_files_at_the_root_of_the_package_are_the_verbs_and_the_door():
    names = {path.stem for path in (ROOT / "rlx").glob("*.py")}
    assert names <= {*COMPOSED, *PLAIN, "cli", "__init__"}
    assert {*COMPOSED, *PLAIN} <= names


@pytest.mark.parametrize(("folder", "ceiling"), MAX_LINES.items())
def test_no_file_is_longer_than_the_ceiling(folder, ceiling):
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    long = {name: length for name, length in lengths.items() if length > ceiling}
    assert long == {}


def test_the_median_file_is_small():
    lengths = sorted(len(p.read_text().splitlines()) for p in FILES if p.name != "__init__.py")
    assert lengths[len(lengths) // 2] <= 110


def test_there_are_no_drawers():
    assert [p for p in (ROOT / "rlx").rglob("*") if p.stem in DRAWERS] == []


def test_package_files_are_empty():
    assert [p for p in FILES if p.name == "__init__.py" and p.read_text().strip()] == []
    folders = {p.parent for p in FILES}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_says_in_its_first_line_what_it_is():
    import ast

    silent = [p for p in FILES if p.name != "__init__.py" and not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_tests_lie_in_the_directories_of_what_they_test():
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.glob("test_*.py"))}
    assert folders <= {p.name for root in (ROOT, ROOT / "rlx") for p in root.iterdir() if p.is_dir()}


def test_every_choice_has_a_test_of_its_own_name_or_its_groups_contract():
    for path in sorted((ROOT / "conf").glob("*/*.yaml")):
        module = ROOT / "rlx" / path.parent.name / f"{path.stem}.py"
        if module.exists():  # a preset has no class of its own
            tests = ROOT / "tests" / path.parent.name
            assert (tests / f"test_{path.stem}.py").exists() or (tests / "test_contract.py").exists(), path


def test_nothing_that_a_run_leaves_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert [name for name in tracked if name.startswith(("runs/", "wandb/", "outputs/", "multirun/"))] == []


def test_text_is_read_and_written_as_utf8_whatever_the_locale():
    for path in [*FILES, *(ROOT / "scripts").glob("*.py")]:
        for call in (
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        ):
            if _opens_text(call):
                assert any(word.arg == "encoding" for word in call.keywords), f"{path}:{call.lineno} says no encoding"


def test_rows_of_json_are_not_split_where_their_texts_have_other_ends_of_lines():
    for path in FILES:
        for line in path.read_text(encoding="utf-8").split("\n"):
            assert not ("json.loads" in line and "splitlines" in line), f"{path}: {line.strip()}; use rlx.core.jsonl"


def test_processes_send_each_other_no_pickles():
    words = ("_object(", "_object_list(", "import pickle", "pickle.loads")
    for path in [*FILES, *(ROOT / "scripts").glob("*.py")]:
        for line in path.read_text(encoding="utf-8").split("\n"):
            named = "distributed." in line or "pickle" in line
            assert not (named and any(word in line for word in words)), (
                f"{path}: {line.strip()}; use rlx.process.processes"
            )


def _opens_text(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "read_text" and not call.args:
        return True
    if name == "write_text" and len(call.args) == 1:
        return True
    if name != "open" or (isinstance(owner, ast.Name) and owner.id in ("os", "gzip", "webbrowser")):
        return False
    modes = [
        *(call.args[1:2] if owner is None else call.args[:1]),
        *(w.value for w in call.keywords if w.arg == "mode"),
    ]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else None if modes else "r"
    return isinstance(mode, str) and "b" not in mode and set(mode) <= set("rwax+t")
