"""`rlx train -m` for real on a miniature of the lab: two rewards, two seeds, then the report of the four."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from rlx.cli import main
from rlx.run.sweep_index import read_rows
from tests.test_train import MINIATURE

pytestmark = pytest.mark.slow  # a minute and a half of CPU
LINE = ["-m", "reward=single,ensemble_mean", "reward_model.num_trunks=1", "seed=0,1", *MINIATURE]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep, in a working directory of its own."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLX_CACHE", str(folder / "cache"))
        patch.setenv("RLX_RUNS", str(folder / "runs"))
        patch.chdir(folder)
        assert main(["train", *LINE]) == 0
    return folder


@pytest.fixture
def here(swept, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", str(swept / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(swept / "runs"))
    monkeypatch.chdir(swept)
    return swept


def sweep_dir(folder: Path) -> Path:
    (found,) = (folder / "runs").glob("sweep-*")
    return found


def test_every_cell_is_done_and_in_the_index_with_its_numbers(swept):
    rows = read_rows(sweep_dir(swept))
    assert [(row["axes"], row["seed"]) for row in rows] == [
        ({"reward": reward}, seed) for reward in ("single", "ensemble_mean") for seed in (0, 1)
    ]
    for row in rows:
        run_dir = (sweep_dir(swept) / row["run"]).resolve()
        assert row["state"] == "done" and row["metrics"] == json.loads((run_dir / "summary.json").read_text())
        assert row["seconds"] > 0
    assert pyarrow.parquet.read_table(sweep_dir(swept) / "index.parquet").num_rows == 4


def test_what_cells_share_was_built_once_and_before_them(swept):
    prepared = json.loads((sweep_dir(swept) / "prepared.json").read_text())
    assert prepared["failed"] == {} and len(prepared["needs"]) == 4
    members = [name for name in prepared["artefacts"] if name.startswith("RewardMember-")]
    assert len(members) == 4 and len(list((swept / "cache").glob("RewardMember-*/manifest.json"))) == 4
    built = max(path.stat().st_mtime for path in (swept / "cache").glob("*/manifest.json"))
    started = [json.loads(path.read_text()) for path in (swept / "runs").glob("*/provenance.json")]
    assert built < min(path.stat().st_mtime for path in (swept / "runs").glob("*/metrics.jsonl"))
    assert all(sum(s for stage, s in p["costs"].items() if stage.startswith("reward model")) < 5 for p in started)


def test_the_same_command_again_runs_nothing(here, capsys):
    before = {path: path.stat().st_mtime_ns for path in (here / "runs").glob("*/metrics.jsonl")}
    assert main(["train", *LINE]) == 0
    assert "4 of 4 cells are done" in " ".join(capsys.readouterr().out.split())
    assert before == {path: path.stat().st_mtime_ns for path in (here / "runs").glob("*/metrics.jsonl")}


def test_a_larger_sweep_finds_the_cells_that_are_done_and_has_an_index_of_its_own(here, capsys):
    assert main(["plan", "-m", "reward=single,ensemble_mean,warm", *LINE[2:]]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "6 cells, 4 of them done" in text and "reward=warm seed=0 not started nothing" in text
    assert "0 to build, each once" in text and f"runs/{sweep_dir(here).name} " not in text


def test_its_report_compares_them_and_says_that_two_seeds_are_few(here):
    assert main(["report", sweep_dir(here).name]) == 0
    page = (sweep_dir(here) / "report.html").read_text()
    assert "4 cells done" in page and "reward: single, ensemble_mean" in page and "Shared artefacts:" in page
    assert (sweep_dir(here) / "figures" / "differences.csv").is_file()
