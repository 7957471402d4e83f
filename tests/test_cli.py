"""The command line as a user meets it: verbs, help, and one friendly line for whatever is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.run.name import run_name

HEAVY = ("torch", "transformers", "trl", "accelerate", "deepspeed", "datasets", "wandb", "matplotlib")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A working directory with nothing in it, where runs and artefacts would go as well."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RLX_RUNS", str(folder / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(folder / "cache"))
    monkeypatch.delenv("RLX_DEBUG", raising=False)
    return folder


def rlx(*arguments: str, python: str = "-m rlx.cli", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python.split(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=240)


@pytest.mark.parametrize(
    "line", ["--help", "train --help", "train reward=wram", "train optimizer.gamma=-1", "train --cfg job"]
)
def test_help_and_config_errors_do_not_import_torch(line, empty):
    code = (
        f"import sys; from rlx.cli import main; main({line.split()!r}); print('HEAVY', {set(HEAVY)} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert "HEAVY set()" in done.stdout


def test_help_names_every_verb_and_every_group_its_choices(empty, capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in ("train", "prepare", "evaluate", "compare", "report", "plan", "doctor"))
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"reward= .*\[single\].*warm", text) and "--config-dir" in text and "num_steps:" in text
    assert main(["train", "--help", "regularizer"]) == 0
    text = capsys.readouterr().out
    assert "regularizer=kl (default):" in text and "regularizer=chi2:" in text and "beta: 0.05" in text


def test_cfg_job_prints_the_composed_config(empty, capsys):
    assert main(["train", "reward=warm", "--cfg", "job"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["reward"]["_target_"] == "rlx.reward.warm.WARM"
    assert list(empty.iterdir()) == []


def test_a_closed_pipe_is_quiet(empty):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m rlx.cli train --help model | head -1"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stderr == "" and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rlx tr", "train"),
        ("rlx ", "train prepare plan evaluate report clean doctor"),
        ("rlx train rewar", "reward reward_model"),
        ("rlx plan regularizer=", "regularizer=chi2 regularizer=kl"),
        ("rlx train regularizer.b", "regularizer.beta="),
        ("rlx report ", "runs/one"),
        ("rlx clean --", "--yes --days --checkpoints --all --runs --store"),
    ],
)
def test_tab_completion_knows_verbs_groups_choices_settings_and_runs(line, words, empty, monkeypatch):
    (empty / "runs" / "one").mkdir(parents=True)
    done = rlx("-sc", "query=bash", python="-m rlx.cli", COMP_LINE=line, COMP_POINT=str(len(line)), RLX_RUNS="runs")
    assert done.returncode == 0
    assert set(words.split()) <= set(
        re.sub(r"(reward(?:_model)?)[.=]", r"\1", done.stdout).split() if "rewar" in line else done.stdout.split()
    )


def test_a_users_own_choice_is_checked_without_being_imported(empty, monkeypatch, capsys):
    package = empty / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "steep.py").write_text(
        "from dataclasses import dataclass\nfrom typing import Literal\nfrom rlx.core.numbers import Positive\n"
        "Shape = Literal['steep', 'flat']\n"
        "@dataclass(frozen=True)\nclass Steep:\n    slope: Positive\n    shape: Shape\n    rates: list[Positive]\n"
    )
    choice = empty / "conf" / "regularizer" / "steep.yaml"
    choice.parent.mkdir(parents=True)
    choice.write_text("# Steeper.\n_target_: mine.steep.Steep\nslope: 1\nshape: steep\nrates: [1, 2e-3]\n")
    monkeypatch.syspath_prepend(str(empty))
    line = ["--config-dir", str(empty / "conf"), "regularizer=steep"]
    config = checked(compose(line)[0].config)
    assert config["regularizer"] == {
        "_target_": "mine.steep.Steep",
        "slope": 1.0,
        "shape": "steep",
        "rates": [1.0, 0.002],
    }
    for mistake, says in [
        ("regularizer.slope=0", "regularizer.slope=0: must be more than 0"),
        ("regularizer.shape=flatt", "did you mean 'flat'?"),
        ("regularizer.rates=[1,-1]", "regularizer.rates.1=-1: must be more than 0"),
        ("regularizer.slop=1", "did you mean 'regularizer.slope'?"),
    ]:
        assert main(["train", *line, mistake]) == 2
        assert says in capsys.readouterr().err
    assert main(["train", "--config-dir", str(empty / "conf"), "--help", "regularizer"]) == 0
    assert "regularizer=steep: Steeper." in capsys.readouterr().out


def test_a_config_that_is_not_yaml_is_named_with_its_line(empty, capsys):
    (empty / "conf" / "reward").mkdir(parents=True)
    (empty / "conf" / "reward" / "mine.yaml").write_text("a: 1\nb: [1\n")
    assert main(["train", "--config-dir", "conf", "reward=mine"]) == 2
    assert re.search(r"mine\.yaml:\d+ is not YAML", capsys.readouterr().err)


def test_a_choice_without_a_target_is_named(empty, capsys):
    for group in ("reward", "supervised"):
        (empty / "conf" / group).mkdir(parents=True)
        (empty / "conf" / group / "mine.yaml").write_text("# Forgotten.\nnum_members: 4\n")
    for choice in ("reward=mine", "supervised@sft=mine"):
        assert main(["train", "--config-dir", "conf", choice]) == 2
        assert f"rlx: {choice}: its YAML needs a line `_target_: package." in capsys.readouterr().err


def planted(empty: Path, *line: str, **status: object) -> Path:
    """The run directory of a command line, with a status as an earlier run would have left it."""
    config = checked(compose(list(line))[0].config)
    run_dir = empty / "runs" / run_name(config)
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (run_dir / "status.json").write_text(json.dumps(status))
    return run_dir


def test_a_run_that_is_done_is_said_to_be_done(empty, capsys):
    run_dir = planted(empty, "reward=warm", state="done")
    assert main(["train", "reward=warm", "tracker=jsonl"]) == 0  # who is told is no part of the experiment
    assert (run_dir / "report.html").is_file()  # a kill had left it out
    assert main(["train", "reward=warm"]) == 0
    text = capsys.readouterr().out
    assert f"its report: runs/{run_dir.name}/report.html" in text and "delete the directory" in text
    assert main(["train", str(run_dir / "config.yaml")]) == 0


def test_a_name_whose_config_drifted_is_refused_with_the_keys(empty, capsys):
    planted(empty, "name=mine", state="interrupted")
    assert main(["train", "name=mine", "regularizer.beta=0.1", "num_steps=7", "evaluation.interval=7"]) == 2
    err = capsys.readouterr().err
    assert "num_steps (100 there, 7 now)" in err and "regularizer.beta (0.05 there, 0.1 now)" in err


def test_a_run_that_another_process_works_on_is_refused(empty, capsys):
    other = subprocess.Popen([sys.executable, "-c", "import time  # rlx\ntime.sleep(60)"])
    try:
        planted(empty, "seed=3", state="running", pid=other.pid)
        assert main(["train", "seed=3"]) == 2
        assert f"process {other.pid}" in capsys.readouterr().err
    finally:
        other.kill()
        other.wait()


def test_ctrl_c_is_one_line_with_exit_code_130(empty):
    code = (
        "import time, rlx.cli\nrlx.cli._dispatch = lambda _: print('up', flush=True) or time.sleep(60)\n"
        "raise SystemExit(rlx.cli.main([]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    assert child.stdout is not None and child.stdout.readline() == "up\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=240)
    assert child.returncode == 130 and err.count("\n") == 1 and err.startswith("rlx: interrupted")


def test_rlx_debug_shows_the_traceback_of_a_users_mistake(empty):
    done = rlx("train", "reward=wram", RLX_DEBUG="1")
    assert "Traceback" in done.stderr and done.returncode == 1
