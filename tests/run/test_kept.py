"""What a done run has kept: gone, changed, and what can be made again."""

import json

import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.command.training import train_resolved
from rlx.run import kept
from rlx.run.directory import RunDirectory
from rlx.run.state import open_run_dir


@pytest.fixture
def done(tmp_path):
    """A run that has ended, with its checkpoint."""
    config = checked(compose([f"runs_dir={tmp_path}", "tracker=jsonl"])[0].config)
    run = open_run_dir(config, tmp_path / "run").parent
    for name in ("metrics.jsonl", "samples.jsonl", "summary.json", "model/config.json", "model/README.md", "report.html",
                 "checkpoints/checkpoint-2/step.json"):  # fmt: skip
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    RunDirectory(run).finish()
    return run


def again(run) -> tuple[int, list[str]]:
    """The exit code of the same command, and what it started."""
    started: list[str] = []

    def note(name):
        return lambda: lambda path: started.append(name) or 0

    return train_resolved(run / "config.yaml", note("run"), note("report")), started


def test_a_run_with_all_its_files_is_left_alone(done):
    assert kept.gone(done) == kept.changed(done) == [] and again(done) == (0, [])
    (done / "model" / "README.md").write_text("a card may be written anew, as a report may")
    (done / "report.html").write_text("x")
    assert again(done) == (0, [])


@pytest.mark.parametrize("name", ["summary.json", "model/config.json"])
def test_what_the_end_of_a_run_makes_is_made_again(done, name, capsys):
    (done / name).unlink()
    assert again(done) == (0, ["run"]) and "is gone: made again, from its last checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "code"), [("metrics.jsonl", 1), ("samples.jsonl", 1)])
def test_rows_that_only_training_makes_are_said_to_be_lost(done, name, code, capsys):
    (done / name).unlink()
    assert again(done) == (code, [])
    assert f"{name} is gone, and only training makes that again: delete " in capsys.readouterr().out


@pytest.mark.parametrize(("name", "code"), [("summary.json", 1), ("model/config.json", 0)])
def test_without_a_checkpoint_nothing_is_made_again_in_silence(done, name, code, capsys):
    (done / "checkpoints" / "checkpoint-2" / "step.json").unlink()
    (done / name).unlink()
    assert again(done) == (code, []) and "only training makes that again" in capsys.readouterr().out


def test_a_digit_that_changed_is_said(done, capsys):
    (done / "metrics.jsonl").write_text("metrics.jsonx")
    assert again(done) == (1, []) and "metrics.jsonl is not what it wrote: do not trust that" in capsys.readouterr().out


def test_a_run_from_before_its_files_were_sealed_is_believed(done):
    status = json.loads((done / "status.json").read_text())
    (done / "status.json").write_text(json.dumps({key: x for key, x in status.items() if key != "files"}))
    (done / "summary.json").unlink()
    assert kept.gone(done) == [] and again(done) == (0, [])
