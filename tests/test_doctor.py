"""`rlx doctor` says what is missing and what to do about it."""

from types import SimpleNamespace

import pytest
from small_model import make_small_model

from rlx import doctor
from rlx.cli import main


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    return tmp_path


def found(check, subject):
    return [finding for finding in check() if finding.subject == subject]


def test_every_check_can_be_made_here_and_leaves_nothing_behind(empty, capsys):
    findings = list(doctor.findings(doctor.CHECKS))
    assert {"Python", "torch", "CPU", "memory", "g++", "W&B", "artefacts"} <= {finding.subject for finding in findings}
    assert not [finding for finding in findings if "check could not be made" in finding.todo]
    assert list(empty.iterdir()) == []


def test_a_warning_makes_the_exit_code_1_and_a_note_does_not(empty, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([doctor.Finding("a", "b", "do c", note=True)]),))
    assert doctor.run() == 0
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([doctor.Finding("a", "b", "do c")]),))
    assert doctor.run() == 1
    assert "do c" in capsys.readouterr().out


def test_a_damaged_artefact_a_killed_build_and_an_interrupted_training_are_found(empty):
    artefact = empty / "cache" / "SFTPolicy-0"
    artefact.mkdir(parents=True)
    (artefact / "manifest.json").write_text('{"files": {"weights": "00"}}')
    (empty / "cache" / "SFTPolicy-1.abc.tmp").mkdir()
    (empty / "cache" / "SFTPolicy-2.unfinished").mkdir()
    assert "weights changed" in found(doctor.store, "artefact")[0].found
    assert "delete it" in found(doctor.store, "leftover")[0].todo
    assert "goes on when it is asked for again" in found(doctor.store, "unfinished")[0].todo


def test_a_stale_lock_of_a_kernel_build_is_found(empty):
    (empty / "extensions" / "py311" / "op").mkdir(parents=True)
    (empty / "extensions" / "py311" / "op" / "lock").touch()
    assert "delete it" in found(doctor.deepspeed, "stale lock")[0].todo


def test_a_place_that_cannot_be_written_is_a_warning(empty, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", "/proc/rlx")
    assert "set RLX_CACHE to another directory" in found(doctor.places, "artefacts directory")[0].todo


def test_a_model_is_examined_and_its_run_counted_and_nothing_is_written(empty, capsys, monkeypatch):
    texts = empty / "texts.txt"
    texts.write_text("\n".join(f"Is {i} more than {i - 1}? Yes, by one." for i in range(50)))
    model = make_small_model(empty / "model", texts, chat_template=True, vocab_size=300, width=16, heads=2)
    capsys.readouterr()
    before = sorted(empty.rglob("*"))
    words = ["doctor", "model=pretrained", f"model.path={model}"]
    assert main(words) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "llama in" in text and "chat template" in text and "GB a process" in text
    assert sorted(empty.rglob("*")) == before
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    assert main(words) == 1
    assert "rlx plan with the same words" in " ".join(capsys.readouterr().out.split())
    assert main(["doctor", "model=lab"]) == 1  # of 1,000 bytes
    assert "lab, shipped with rlx" in capsys.readouterr().out


def test_a_path_alone_is_told_how_to_be_given(empty, capsys):
    assert main(["doctor", "some/model"]) == 2
    assert "model=pretrained model.path=some/model" in capsys.readouterr().err
