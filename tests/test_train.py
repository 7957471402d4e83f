"""`rlx train` from nothing to a report on a miniature of the lab: seconds a run, members shared by all tests here."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import ANY

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlx.cli import main
from rlx.run.directory import RunDirectory

MINIATURE = shlex.split(
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 num_steps=4 "
    "evaluation.interval=2 evaluation.num_prompts=8 evaluation.final_num_prompts=16 checkpoint.interval=2 tracker=jsonl"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(cache, tmp_path, monkeypatch):
    """An empty working directory, with a store that the tests of this file share."""
    monkeypatch.setenv("RLX_CACHE", str(cache))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def numbers(run: Path) -> list[dict]:
    """Every row of metrics but the seconds."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """An undisturbed run of the main job."""
    folder = tmp_path_factory.mktemp("whole")
    env = {"RLX_CACHE": str(cache), "RLX_RUNS": str(folder / "runs")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        assert main(["train", "reward=warm", "reward.num_members=2", "reference=soup", *MINIATURE]) == 0
    return only_run(folder)


def test_the_main_job_leaves_a_run_that_can_be_shown(whole):
    assert json.loads((whole / "status.json").read_text())["state"] == "done"
    rows = numbers(whole)
    assert [row["step"] for row in rows if row["split"] == "train"] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if row["split"] == "heldout"] == [0, 2, 4]
    start = next(row for row in rows if row["split"] == "heldout")
    assert start["gold/win_rate"] == 0.5 and start["objective/kl_start"] == pytest.approx(0, abs=1e-4)
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["gold/win_rate_low"] <= summary["gold/win_rate"] <= summary["gold/win_rate_high"]
    for name in ("gold/score_sd_units_length_controlled", "gold/win_rate_length_controlled"):
        assert start[name] == start[name.removesuffix("_length_controlled")]  # the start is as long as itself
        assert summary[f"{name}_low"] < summary[name] < summary[f"{name}_high"]
    provenance = json.loads((whole / "provenance.json").read_text())
    assert {"SFT policy 0", "SFT policy 1", "reward model 0", "reward model 1"} <= provenance["artefacts"].keys()
    kinds = [row["kind"] for row in json.loads((whole / "members.json").read_text())]
    assert kinds == ["member"] * 2 + ["mean", "warm"] + ["line"] * 5 + ["longer", "bag_of_words"]
    page = (whole / "report.html").read_text()
    assert "With the difference in length taken out" in page
    assert "data:image/png;base64," in page and "http" not in page.split("<style")[0]


def test_every_prompt_of_the_final_measurement_keeps_what_the_summary_is_the_mean_of(whole):
    rows = [json.loads(line) for line in (whole / "final_samples.jsonl").read_text().splitlines()]
    summary = json.loads((whole / "summary.json").read_text())
    assert len({row["prompt_id"] for row in rows}) == len(rows) == summary["evaluation/num_prompts"] == 16
    for column, name in (
        ("gold", "gold/score"),
        ("start_gold", "gold/start_score"),
        ("length", "completions/mean_length"),
    ):
        assert sum(row[column] for row in rows) / 16 == pytest.approx(summary[name])
    last = {row["prompt_id"]: row for row in map(json.loads, (whole / "samples.jsonl").open()) if row["step"] == 4}
    final = {row["prompt_id"]: row["completion"] for row in rows}
    assert all(final[pid] == row["completion"] for pid, row in last.items())  # the same policy, with the same seeds


def test_its_model_loads_as_any_other_with_tokenizer_and_card(whole):
    model, info = AutoModelForCausalLM.from_pretrained(whole / "model", output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(whole / "model")
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert not (whole / "model" / "model.safetensors").stat().st_size > 1e6  # no critic, no second trunk
    assert model.generate(**tokenizer("tell me a short sad story about the ocean .", return_tensors="pt")).shape[1] > 10
    assert "library_name: transformers" in (whole / "model" / "README.md").read_text()


def test_the_same_command_again_says_that_it_is_done(whole, cache, monkeypatch, capsys):
    monkeypatch.setenv("RLX_CACHE", str(cache))
    monkeypatch.setenv("RLX_RUNS", str(whole.parent))
    before = (whole / "metrics.jsonl").stat().st_mtime_ns
    assert main(["train", "reward=warm", "reward.num_members=2", "reference=soup", *MINIATURE]) == 0
    assert "is done" in capsys.readouterr().out
    assert (whole / "metrics.jsonl").stat().st_mtime_ns == before


def killed_after_a_checkpoint(words, here):
    """The directory of a run that was killed when its first checkpoint was there."""
    process = subprocess.Popen([sys.executable, "-m", "rlx.cli", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 250
    while not list((here / "runs").glob("*/checkpoints/*/step.json")):
        assert time.monotonic() < deadline and process.poll() is None, "no checkpoint was written"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return only_run(here)


def test_a_killed_run_goes_on_and_ends_with_the_numbers_of_an_undisturbed_one(whole, here):
    command = ["train", "reward=warm", "reward.num_members=2", "reference=soup", *MINIATURE]
    run = killed_after_a_checkpoint(command, here)
    assert json.loads((run / "status.json").read_text())["state"] == "running"  # it had no time to say otherwise
    (run / "metrics.jsonl").open("a").write('{"step": 3, "spl')  # a row that was being written
    assert main(command) == 0
    assert numbers(run) == numbers(whole)
    assert json.loads((run / "summary.json").read_text()) == json.loads((whole / "summary.json").read_text())
    assert (run / "final_samples.jsonl").read_bytes() == (whole / "final_samples.jsonl").read_bytes()


TOLD = """
import json
from dataclasses import dataclass

@dataclass(frozen=True)
class Told:
    def start(self, run_dir, config, run_id):
        return Telling(run_dir / "told.jsonl")

class Telling:
    def __init__(self, path):
        self.path = path
    def note(self, *words):
        with self.path.open("a") as file:
            file.write(json.dumps(words) + "\\n")
    def log(self, step, metrics, split="train"):
        self.note("log", split, step)
    def table(self, name, columns, rows):
        self.note("table", name, len(rows))
    def file(self, path):
        self.note("file", path.name)
    def finish(self, summary, exit_code=0):
        self.note("finish", len(summary), exit_code)
"""
KILLED = """
import os, signal, sys
from rlx import cli, report
report.conclude = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("again", [pytest.param(how, marks=pytest.mark.slow) for how in ("train", "report", "sweep")])
def test_a_run_that_was_killed_between_its_end_and_its_report_is_completed(here, monkeypatch, capsys, again):
    (here / "told.py").write_text(TOLD)
    (here / "conf" / "tracker").mkdir(parents=True)
    (here / "conf" / "tracker" / "told.yaml").write_text("# Notes.\n_target_: told.Told\n")
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setenv("PYTHONPATH", f"{here}:{os.environ.get('PYTHONPATH', '')}")
    words = [word for word in MINIATURE if not word.startswith("tracker=")]
    command = ["train", "--config-dir", "conf", "tracker=told", *words]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command], stderr=subprocess.DEVNULL, timeout=250, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    run = only_run(here)
    status, rows = json.loads((run / "status.json").read_text()), numbers(run)
    assert status["state"] == "done" and not (run / "report.html").exists()
    (run / "model" / "README.md").unlink()

    line = {"train": command, "report": ["report", str(run)], "sweep": [*command, "-m", "seed=0,1"]}[again]
    if again == "report":  # the config of a run is data: a class of the user's own is named to it
        assert main(line) == 2 and "RLX_TRUST=told" in capsys.readouterr().err
        monkeypatch.setenv("RLX_TRUST", "told")
    assert main(line) == 0
    assert "data:image/png;base64," in (run / "report.html").read_text()
    assert "library_name: transformers" in (run / "model" / "README.md").read_text()
    assert json.loads((run / "status.json").read_text()) == status | {"shown": True, "ended": ANY}
    told = [json.loads(row) for row in (run / "told.jsonl").read_text().splitlines()]
    ends = [row for row in told if row[0] != "log"]
    assert [row[:2] for row in ends[:3]] == [["table", "samples"], ["file", "report.html"], ["file", "README.md"]]
    assert ends[3][0] == "finish" and ends[3][1] > 10 and ends[3][2] == 0 and len(ends) == 4
    assert numbers(run) == rows  # nothing was measured again
    capsys.readouterr()
    assert main(command) == 0 and "its report: " in capsys.readouterr().out
    assert (run / "told.jsonl").read_text().count("finish") == 1


def test_what_somebody_removed_from_a_done_run_is_made_again_from_its_last_checkpoint(here, capsys):
    command = ["train", *MINIATURE]
    assert main(command) == 0
    run = only_run(here)
    before = numbers(run), (run / "summary.json").read_text(), (run / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(run / "model")
    (run / "summary.json").unlink()
    capsys.readouterr()
    assert main(command) == 0
    assert re.search(r"is done, but summary.json and model/ \(\d+ files\) is gone: made again", capsys.readouterr().out)
    assert before == (
        numbers(run),
        (run / "summary.json").read_text(),
        (run / "model" / "model.safetensors").read_bytes(),
    )


def test_what_a_killed_writer_left_half_written_is_removed(tmp_path):
    halves = [tmp_path / f".{name}.12345.part" for name in ("status.json", "metrics.jsonl", "summary.json")]
    other = tmp_path / ".report.html.12345.part"  # of `rlx report`, which does not hold the run
    for path in [*halves, other]:
        path.write_text("{")
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "config.json").write_text("{")
    with RunDirectory(tmp_path).running():
        assert sorted(path.name for path in tmp_path.glob(".*.part")) == [other.name]


def test_an_interrupted_run_says_so_and_exits_with_130(here):
    command = [sys.executable, "-m", "rlx.cli", "train", *MINIATURE, "num_steps=1000", "evaluation.interval=1000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    while not list((here / "runs").glob("*/metrics.jsonl")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert json.loads((only_run(here) / "status.json").read_text())["state"] == "interrupted"


def test_ppo_on_gold_raises_gold(here):
    """The control at miniature size: the optimiser climbs what it is given."""
    steps = [
        "num_steps=20",
        "num_prompts=32",
        "evaluation.interval=20",
        "evaluation.num_prompts=64",
        "checkpoint.interval=20",
    ]
    assert main(["train", "reward=gold", "regularizer.beta=0", *MINIATURE, *steps]) == 0
    last = [row for row in numbers(only_run(here)) if row["split"] == "heldout"][-1]
    assert last["gold/score_sd_units_low"] > 0.2


KEEPING = ["checkpoint.keep_best=gold", *MINIATURE, "evaluation.interval=1"]
KEEPING += ["torch_optimizer.learning_rate=3e-3"]  # too much: gold falls


@pytest.fixture(scope="module")
def keeping(cache, tmp_path_factory):
    """An undisturbed run that keeps its best step."""
    folder = tmp_path_factory.mktemp("keeping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLX_CACHE", str(cache))
        patch.setenv("RLX_RUNS", str(folder / "runs"))
        assert main(["train", *KEEPING]) == 0
    return only_run(folder)


def test_the_step_with_the_most_gold_on_half_of_the_prompts_is_exported_and_measured_on_the_others(keeping, here):
    run = keeping
    summary = json.loads((run / "summary.json").read_text())
    rows = {row["step"]: row for row in numbers(run) if row["split"] == "heldout"}
    kept = max(rows, key=lambda step: rows[step]["keep_best/selection_gold"])
    assert kept < 4 == max(rows)
    assert summary["keep_best/step"] == kept
    assert summary["evaluation/num_prompts"] == 16 - 8 / 2
    for half in ("selection", "report"):
        assert summary[f"keep_best/{half}_gold"] == rows[kept][f"keep_best/{half}_gold"]
    exported, best = load_file(run / "model" / "model.safetensors"), load_file(run / f"best/step-{kept}.safetensors")
    assert exported and all(torch.equal(exported[name], best[name]) for name in exported)
    assert [path.name for path in (run / "best").iterdir()] == [f"step-{kept}.safetensors"]
    page = (run / "report.html").read_text()
    assert "The step that was kept" in page and f"This is the policy of step {kept} of 4" in page
    assert main(["evaluate", str(run)]) == 0
    again = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert again == pytest.approx({name: summary[name] for name in again}, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_a_killed_run_that_keeps_its_best_step_ends_as_an_undisturbed_one(keeping, here):
    run = killed_after_a_checkpoint(["train", *KEEPING], here)
    assert main(["train", *KEEPING]) == 0
    assert numbers(run) == numbers(keeping)
    assert json.loads((run / "summary.json").read_text()) == json.loads((keeping / "summary.json").read_text())
    model = "model/model.safetensors"
    assert (run / model).read_bytes() == (keeping / model).read_bytes()


def test_a_run_may_be_measured_again(whole, cache, monkeypatch, capsys):
    monkeypatch.setenv("RLX_CACHE", str(cache))
    assert main(["evaluate", str(whole), "evaluation.num_prompts=16"]) == 0
    written = json.loads((whole / "evaluation.json").read_text())
    again = written["metrics"]
    assert written["overrides"] == ["evaluation.num_prompts=16"]
    summary = json.loads((whole / "summary.json").read_text())
    of_policy = {name: value for name, value in summary.items() if not name.startswith(("pairs/", "importance/"))}
    assert again == pytest.approx(of_policy, rel=1e-5, abs=1e-5)
    assert main(["evaluate", str(whole), "sampler.temperature=0.7", "evaluation.num_prompts=16"]) == 0
    cooler = json.loads((whole / "evaluation.json").read_text())
    assert cooler["metrics"]["objective/entropy"] != again["objective/entropy"]
    assert main(["evaluate", str(whole), "evaluation.num_prompts=100000"]) == 2
    assert "held-out prompts" in capsys.readouterr().err
    assert json.loads((whole / "evaluation.json").read_text()) == cooler


def test_inpo_asks_the_labs_preference_model_which_gold_and_the_cycle_make(here):
    draws = ["optimizer.num_samples=4", "optimizer.num_epochs=2", "torch_optimizer.learning_rate=3e-4"]
    assert main(["train", "optimizer=inpo", "optimizer.oracle=preference", *draws, *MINIATURE]) == 0
    rows = numbers(only_run(here))
    train = [row for row in rows if row["split"] == "train"]
    assert train[0]["objective/kl"] == pytest.approx(0, abs=1e-5) and train[-1]["objective/kl"] > 0
    # Every pair that is kept was won; at the start h is 0 on average, and the policy has learnt to tell them apart.
    assert all(row["inpo/preference"] > 0.5 and 0 < row["inpo/kept_pairs"] <= 1 for row in train)
    assert train[-1]["inpo/h"] > 0
    assert all(0 < row["diversity/meteor"] < 1 for row in rows if row["split"] == "heldout")


def test_superhf_learns_from_completions_that_score_more_than_most(here):
    assert main(["train", "optimizer=superhf", "optimizer.num_samples=4", *MINIATURE]) == 0
    train = [row for row in numbers(only_run(here)) if row["split"] == "train"]
    assert all(row["superhf/kept_scores"] > row["objective/scores"] + 0.2 for row in train)
    assert train[0]["loss/divergence"] < 0.01 < train[0]["loss/cross_entropy"]
