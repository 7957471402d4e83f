import json
import os
import subprocess
import sys

import pytest

from rlx.cli import main
from rlx.command.data import with_absolute_paths

PREFERENCES = ["world=preferences", "model=pretrained", "model.path=nobody/nothing", "tracker=jsonl"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("many", [[], ["-m", "seed=0,1"]])
def test_bad_data_is_one_line_with_file_and_line_and_leaves_nothing_behind(here, capsys, many):
    (here / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\nnot json\n')
    assert main(["train", *many, *PREFERENCES, "world.path=pairs.jsonl"]) == 2
    error = capsys.readouterr().err.strip()
    assert "pairs.jsonl:2" in error and "\n" not in error
    assert not (here / "cache").exists() and not list(here.glob("runs/*"))


def test_reading_the_data_does_not_load_torch(here):
    rows = [{"prompt": f"question {i}", "chosen": "yes", "rejected": "no"} for i in range(400)]
    (here / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = (
        "import sys; from rlx.command.compose import compose; from rlx.command.check import checked\n"
        "from rlx.command.data import examine\n"
        f"examine([checked(compose({[*PREFERENCES, 'world.path=pairs.jsonl']!r})[0].config)])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_names_of_files_become_absolute_and_hub_ids_stay(here):
    (here / "pairs.jsonl").write_text("")
    node = {
        "_target_": "a.b",
        "path": "pairs.jsonl",
        "hub": "HuggingFaceH4/ultrafeedback_binarized",
        "marker": "\n\n:",
        "n": 3,
    }
    assert with_absolute_paths(node) == node | {"path": str(here / "pairs.jsonl")}
