import json

import numpy as np
import pytest

from rlx.cli import main

SMALL = ["weights=[0.1,3]", "seeds=[0,1]", "choosing_seeds=[100]", "mlp.num_epochs=20", "mlp.learning_rate=0.02"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(path, rows=80):
    """Happiness is income and a little age; shoe size is nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    y = np.clip(np.round(3 + 1.2 * x[:, 0] + 0.4 * x[:, 1] + 0.3 * rng.normal(size=rows)), 1, 5)
    table = [
        ["<b>income</b>", "age", "shoe", "happiness"],
        *(f"{a:.3f} {b:.3f} {c:.3f} {d:.0f}".split() for (a, b, c), d in zip(x, y, strict=True)),
    ]
    path.write_text("\n".join(",".join(row) for row in table) + "\n")


def test_a_file_is_studied_reported_and_found_again(home, capsys):
    answers(home / "answers.csv")
    line = ["survey", "answers.csv", "target=happiness", "name=mine", *SMALL]
    assert main(line) == 0
    out = capsys.readouterr().out
    found = json.loads((home / "runs/mine/survey.json").read_text())
    shares = found["models"]["gam"]["share"]
    assert shares["<b>income</b>"] > shares["age"] > shares["shoe"]
    assert found["models"]["linear"]["accuracy"]["value"] > 0.5 and found["truth"] is None
    assert found["references"] == ["models", "wrong"]
    page = (home / "runs/mine/report.html").read_text()
    assert "&lt;b&gt;income&lt;/b&gt;" in page and "<b>income</b>" not in page
    assert "divisions of the same rows" in " ".join(page.split())
    assert "Held to the other models with weight" in out and "over 2 seeds" in out
    assert {path.name for path in (home / "runs/mine/figures").iterdir()} == {"importance.png", "weight.png"}
    before = {path: path.stat().st_mtime_ns for path in (home / "cache").glob("*/fit.json")}
    assert main(line) == 0  # nothing is fitted twice
    assert {path: path.stat().st_mtime_ns for path in (home / "cache").glob("*/fit.json")} == before


def test_without_a_file_the_survey_is_synthetic_and_its_truth_is_shown(home, capsys):
    assert (
        main(
            [
                "survey",
                "name=synthetic",
                "synthetic.num_rows=60",
                "synthetic.num_test_rows=60",
                "references=[truth]",
                *SMALL,
            ]
        )
        == 0
    )
    found = json.loads((home / "runs/synthetic/survey.json").read_text())
    assert found["truth"]["leisure"] == pytest.approx(0, abs=1e-9)
    assert "Held to the truth (an oracle)" in capsys.readouterr().out
    assert "the truth" in (home / "runs/synthetic/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["answers.csv", "target=hapiness"],
            "target=hapiness: answers.csv has no such column (did you mean 'happiness'?)",
        ),
        (
            ["answers.csv", "target=happiness", "factors=[age,shoe,weight]"],
            "factors=weight: answers.csv has no such column",
        ),
        (["nowhere.csv", "target=happiness"], "nowhere.csv cannot be read: No such file or directory"),
        (["prior={helth: 1}"], "prior: no factor or group called 'helth' (did you mean 'health'?)"),
    ],
)
def test_what_cannot_be_used_ends_with_one_line_and_writes_nothing(home, capsys, words, message):
    answers(home / "answers.csv")
    assert main(["survey", *words, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not (home / "runs").exists() and not (home / "cache").exists()
