import pytest

from rlx.cli import main

TOKEN = "hf_" + "a1B2" * 9


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (f"name={'a' * 300}", "more than 100 characters"),
        (f"name={'a' * 20_000}", "more than 100 characters"),
        ("name='a\0b'", "cannot be printed"),
        ("name='a\nb'", "cannot be printed"),
        ("name='-rf'", "begins like an option"),
        ("name='..'", "no name"),
        ("runs_dir=file", "file is no folder"),
        ("runs_dir=file/below", "file is no folder"),
        ("runs_dir=link", "a link to nothing"),
        ("runs_dir=/dev/null", "/dev/null is no folder"),
        ("runs_dir=''", "no folder"),
        ("cache_dir=file", "file is no folder"),
        ("cache_dir='a\0b'", "no folder"),
        (f"cache_dir={'a/' * 2000}", "no folder"),
        (f"name=x model=pretrained model.path={TOKEN}", "model.path: holds what looks like a token"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "plan"])
def test_places_that_cannot_be_are_one_line_and_nothing_is_made(here, capsys, verb, word, says):
    before = sorted(here.iterdir())
    words = word.split() if TOKEN in word else [word]
    assert main([verb, *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("rlx: ") and "\n" not in error and says in error and TOKEN not in error
    assert sorted(here.iterdir()) == before


def test_a_secret_that_comes_from_the_environment_is_refused_without_saying_it(here, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "something secret")
    assert main(["train", "name=${oc.env:HF_TOKEN}"]) == 2
    error = capsys.readouterr().err
    assert "name: holds the value of HF_TOKEN" in error and "something secret" not in error
