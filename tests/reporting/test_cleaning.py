import json

import matplotlib as mpl
import numpy as np
import pytest

from rlx.reporting import cleaning
from rlx.reporting.card import model_card
from rlx.reporting.description import describe
from rlx.reporting.figure import cleaning as figure
from rlx.reporting.figure.gallery import draw_all
from rlx.reporting.figure.style import STYLE
from rlx.reporting.rendering import render
from rlx.run.record import load_record
from tests.synthetic_run import NASTY, write_run

CURVE = {"auc": 0.7, "roc": [[0.0, 0.5, 1.0], [0.0, 0.8, 1.0]], "f1_at_count": 0.8}
SHARE = {"value": 0.7, "error": 0.02, "low": 0.66, "high": 0.74}


def told(flipped: int = 500) -> dict:
    right = {"prior_f1": 0.857, "weights": {**CURVE, "f1": 0.84}}
    names = ("small_loss", "trusted_loss", "oracle_loss")
    return {
        "pairs": 2000, "trusted": 200, "flipped": flipped,
        "weights": {"mean": 0.7, "below_half": 321, "effective_pairs": 1789.4},
        "histogram": {"edges": [0.0, 0.5, 1.0], "right": [100, 1400], "flipped": [221, 279] if flipped else [0, 0]},
        "flips": {**right, **dict.fromkeys(names, CURVE)} if flipped else None,
        "heldout": dict.fromkeys(("noisy", "cleaned", "oracle") if flipped else ("noisy", "cleaned"), SHARE),
        "most_distrusted": [
            {"prompt": NASTY[0], "chosen": NASTY[1], "rejected": "", "weight": 0.012, "flipped": bool(flipped)},
            {"prompt": [["user", "tell me"]], "chosen": "a", "rejected": "b", "weight": 0.02, "flipped": False},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    def write(content: dict | None, name: str):
        path = write_run(tmp_path_factory.mktemp(name))
        if content is not None:
            (path / "cleaning.json").write_text(json.dumps(content))
            config = (path / "config.yaml").read_text()
            cleaner = "cleaner:\n  _target_: rlx.cleaner.bilevel.Bilevel\n  num_trusted: 200\n"
            (path / "config.yaml").write_text(config + cleaner)
        return path

    return write


def page(path) -> str:
    return render(load_record(path), [])


def test_the_page_has_the_weights_their_baselines_and_the_distrusted_texts_escaped(run):
    source = page(run(told(), "cleaned"))
    for words in (
        "Each of 2,000 training pairs has a weight, learnt beside 200 trusted pairs",
        "Label noise flipped 500 of them. 321 weights are below one half",
        "1,789 equal ones",
        "(trusting all: 0.857)",
        "70.0 % [66.0, 74.0]",
        "weight 0.012 · its label was flipped",
        "weight 0.020 · its label is right",
        '<span class="prompt" dir="auto">tell me',
    ):
        assert words in source, words
    assert "<script>" not in source and "&lt;script&gt;" in source and "<h1>escaped" not in source


def test_without_flips_it_says_nothing_of_which_labels_are_right(run):
    source = page(run(told(flipped=0), "given"))
    assert "weight 0.012<" in source.replace("</span>", "<") and "its label" not in source and "AUC</th>" not in source
    assert "all pairs with the weights that were used" in source


def test_a_run_without_a_cleaner_has_neither_section_nor_figure_and_lacks_nothing(run, tmp_path, monkeypatch):
    path = run(None, "plain")
    assert "weights</h2>" not in page(path)
    monkeypatch.setattr("rlx.reporting.figure.gallery.FIGURES", ())
    assert list(draw_all(load_record(path), tmp_path)) == []
    assert [one.name for one in draw_all(load_record(run(told(), "drawn")), tmp_path)] == ["cleaning"]
    assert cleaning.summary(load_record(path)) == ""
    assert "cleaner" not in model_card(load_record(path))


def test_the_figure_draws_the_numbers_of_the_artefact(run):
    with mpl.rc_context(STYLE):
        drawn = figure.draw(load_record(run(told(), "figure")))
        unknown = figure.draw(load_record(run(told(flipped=0), "unknown")))
    assert drawn is not None and unknown is not None
    curves = [line for line in drawn[0].axes[1].lines if np.size(line.get_xdata()) == 3]
    assert len(curves) == 3 and all(np.allclose(c.get_ydata(), CURVE["roc"][1]) for c in curves)
    assert len(drawn[0].axes[0].patches) == 2
    assert len(unknown[0].axes) == 1 and "nothing says which" in unknown[1]


def test_the_description_and_the_card_name_the_cleaner_and_its_paper(run):
    record = load_record(run(told(), "named"))
    assert "of which 25 % are flipped, cleaned by weights learnt from 200 trusted pairs," in describe(record)
    card = model_card(record)
    assert "cleaner:bilevel" in card and "2309.01753" in card
