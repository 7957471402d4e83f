import os

import pytest

from rlx.cli import main
from rlx.core.build import build
from rlx.core.error import UserError
from rlx.core.trust import VARIABLE, check_trusted, trust_choices_in


@pytest.mark.parametrize("target", ["rlx.reward.warm.WARM", "rlx.supervised.sft.SFT", "rlx.tracker.jsonl.Jsonl"])
def test_choices_of_rlx_are_trusted(target):
    check_trusted(target)


@pytest.mark.parametrize(
    "target", ["subprocess.Popen", "os.system", "builtins.exec", "Popen", "", "rlx", "rlxx.reward.A"]
)
def test_what_is_outside_is_not_until_it_is_named(target):
    with pytest.raises(UserError, match=r"outside of rlx|no choice of a group"):
        check_trusted(target)
    with pytest.raises(UserError):
        build({"_target_": target})


def test_modules_of_rlx_that_are_no_choices_are_refused():
    for target in ("rlx.slurm.queue.submit", "rlx.process.atomic.write", "rlx.cli.main", "rlx.core.build.build"):
        with pytest.raises(UserError, match="no choice of a group"):
            check_trusted(target)


def test_a_package_is_trusted_by_its_variable_or_by_a_choice_of_the_config_dir(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "theirs")
    check_trusted("theirs.reward.Best")
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "best.yaml").write_text("# Best.\n_target_: 'mine.best.Best'\nrate: 1\n")
    with pytest.raises(UserError, match="RLX_TRUST=mine"):
        check_trusted("mine.best.Best")
    trust_choices_in(tmp_path)
    assert os.environ[VARIABLE] == "mine,theirs"
    check_trusted("mine.best.Best")
    check_trusted("theirs.reward.Best")


@pytest.mark.parametrize("verb", ["train", "plan", "prepare"])
def test_a_line_or_a_config_that_names_a_class_of_its_choice_runs_nothing(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    trace = tmp_path / "trace"
    words = ["~tracker", f"+tracker={{_target_:subprocess.Popen,args:[touch,{trace}]}}"]
    assert main([verb, *words]) == 2
    assert "tracker._target_: subprocess.Popen is outside of rlx" in capsys.readouterr().err
    assert not trace.exists() and not (tmp_path / "runs").exists() and not (tmp_path / "cache").exists()


def test_a_config_file_that_names_a_class_of_its_choice_runs_nothing(tmp_path, monkeypatch, capsys):
    import yaml

    from rlx.command.compose import compose

    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    (cell,) = compose(["tracker=jsonl"])
    trace = tmp_path / "trace"
    evil = {**cell.config, "tracker": {"_target_": "subprocess.Popen", "args": ["touch", str(trace)]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(evil))
    for verb in ("train", "evaluate", "report"):
        assert main([verb, str(tmp_path / "config.yaml")]) == 2 or not trace.exists()
        assert not trace.exists()
    assert "outside of rlx" in capsys.readouterr().err
