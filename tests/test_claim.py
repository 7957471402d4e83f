"""`rlx claim`, from a declaration to a verdict: on runs that are written by hand, and once for real."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from comparison.test_claim import DECLARED
from synthetic_run import write_run

from rlx.cli import main
from rlx.command.claim import declare


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declared(path: Path, **changes) -> str:
    path.write_text(yaml.safe_dump(yaml.safe_load(DECLARED) | changes, allow_unicode=True))
    return str(path)


def pretend(words: list[str], gold) -> None:
    """Write a finished run for everything that the claims read; `gold(arm, seed)` is its gain, None for no run."""
    for one in declare(words, "report"):
        for run in one.runs:
            value = gold(run.arm, run.seed + run.place / 10)
            if value is None or run.run_dir.exists():
                continue
            write_run(run.run_dir, num_prompts=8, num_samples=2)
            summary = json.loads((run.run_dir / "summary.json").read_text())
            summary |= {"gold/score_sd_units": value, "objective/kl_start": 2.0 + 3 * run.place}
            (run.run_dir / "summary.json").write_text(json.dumps(summary))


def test_runs_that_are_there_are_judged_shown_and_written(home, capsys):
    match = {"key": "regularizer.beta", "values": {"a": [0.1, 0.2], "b": [0.1, 0.2]}, "along": "kl"}
    words = [
        declared(home / "plain.yaml", says="<b>a</b> has more gold than b."),
        declared(home / "matched.yaml", match=match, common="num_steps=12", title="a − b, matched"),
    ]
    rng = np.random.default_rng(0)
    pretend(words, lambda arm, seed: {"a": 1.5, "b": 1.0, "judge": 2.0}[arm] + rng.normal(0, 0.05))
    assert main(["claim", *words, "--no-run", "--to", str(home / "docs")]) == 0
    out = capsys.readouterr().out
    assert "holds" in out and "4 of 4" in out
    found = json.loads((home / "runs/claims/plain/claim.json").read_text())
    assert found["verdict"]["word"] == "holds" and len(found["units"]) == 4 and found["needs"][0]["met"]
    page = (home / "runs/claims/plain/report.html").read_text()
    assert "&lt;b&gt;a&lt;/b&gt; has more" in page and "<b>a</b>" not in page and "Holds: +0." in page
    assert (home / "runs/claims/matched/figures/strength.png").is_file()
    results = (home / "docs/results.md").read_text()
    assert "![All claims](images/claims.png)" in results and (home / "docs/images/claims.png").is_file()
    assert "| [a − b](#plain) | a has more gold" in results and "**holds**" in results
    assert "1.41 to 2.24" in results  # the roots of the KLs
    assert "results.html" in out and "matched/report.html" in (home / "runs/claims/results.html").read_text()


def test_what_is_lacking_is_said_and_not_judged_over(home, capsys):
    word = declared(home / "mine.yaml")
    pretend([word], lambda arm, seed: None if seed > 1 else {"a": 1.5, "b": 1.0, "judge": 2.0}[arm] + seed / 10)
    assert main(["claim", word, "--no-run"]) == 0
    assert "2 of 4" in capsys.readouterr().out
    page = (home / "runs/claims/mine/report.html").read_text()
    assert "Too few runs" in page and "data seed 2: no finished run of a" in page


def test_without_any_run_there_is_a_page_that_says_so(home, capsys):
    word = declared(home / "mine.yaml")
    assert main(["claim", word, "--no-run"]) == 0
    assert "no run to compare" in capsys.readouterr().out
    assert not (home / "runs/claims/claims.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_claim_runs_its_cells_and_a_second_call_runs_none(home, capsys):
    small = "optimizer=bon optimizer.num_samples=4 evaluation.num_prompts=16 evaluation.final_num_prompts=16 "
    small += "world.num_demonstrations=64 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 tracker=jsonl"
    arms = {"a": "reward=gold", "b": "reward=single"}
    seeds = {"choose": [], "report": [0, 1, 2]}
    word = declared(home / "mine.yaml", common=small, needs=[], seeds=seeds, arms=arms)
    assert main(["claim", word, "sweep.num_parallel=1"]) == 0
    found = json.loads((home / "runs/claims/mine/claim.json").read_text())
    assert [unit["seed"] for unit in found["units"]] == [0, 1, 2] and found["verdict"]["num"] == 3
    before = {path: path.stat().st_mtime_ns for path in (home / "runs").glob("*/summary.json")}
    assert len(before) == 6
    assert main(["claim", word, "sweep.num_parallel=1"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (home / "runs").glob("*/summary.json")} == before
