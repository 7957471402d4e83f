"""What the figures show is looked at by people; this is about when they are drawn, from which numbers, and sameness."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

from rlx.reporting.figure import factors, gold_by_divergence, optimizer
from rlx.reporting.figure.gallery import draw_all
from rlx.reporting.figure.style import STYLE
from rlx.run.record import load_record
from tests.synthetic_run import write_run


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(write_run(tmp_path_factory.mktemp("run")))


def test_the_same_run_gives_the_same_bytes(record, tmp_path, monkeypatch):
    monkeypatch.setattr("rlx.reporting.figure.gallery.FIGURES", (gold_by_divergence,))
    first, second = (next(draw_all(record, tmp_path / name)).path for name in "ab")
    assert first is not None and second is not None
    assert first.read_bytes() == second.read_bytes()


def test_what_cannot_be_drawn_says_what_it_takes_and_leaves_no_old_picture(tmp_path):
    record = load_record(write_run(tmp_path, done_steps=0, state="failed", num_members=1))
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "win_rate.png").write_bytes(b"old")
    drawn = list(draw_all(record, tmp_path / "figures"))
    assert all(one.path is None and one.caption for one in drawn)
    assert list((tmp_path / "figures").iterdir()) == []


def test_both_scores_are_drawn_in_sd_of_the_start_against_the_measured_distance(record):
    with mpl.rc_context(STYLE):
        drawn = gold_by_divergence.draw(record)
    assert drawn is not None
    curves = [line for line in drawn[0].axes[0].lines if np.size(line.get_xdata()) == 9]
    rows = record.heldout
    proxy = [(row["proxy/score"] - rows[0]["proxy/score"]) / rows[0]["proxy/score_std"] for row in rows]
    for curve, expected in zip(curves, (proxy, [row["gold/score_sd_units"] for row in rows]), strict=True):
        assert np.allclose(curve.get_xdata(), [row["objective/sqrt_kl_start"] for row in rows])
        assert np.allclose(curve.get_ydata(), expected)


def test_scores_of_very_different_size_get_a_panel_each(tmp_path):
    drawn = gold_by_divergence.draw(load_record(write_run(tmp_path, proxy_gain=30.0)))
    assert drawn is not None and len(drawn[0].axes) == 2


def test_factors_are_drawn_in_sd_of_the_start_and_those_without_spread_are_told_in_words(record):
    with mpl.rc_context(STYLE):
        all_drawn = factors.draw(record)
        first = {**record.heldout[0], "gold_std/mood": 0.0}
        without_mood = factors.draw(dataclasses.replace(record, heldout=[first, *record.heldout[1:]]))
    assert all_drawn is not None and without_mood is not None
    expected = (record.heldout[-1]["gold/mood"] - first["gold/mood"]) / record.heldout[0]["gold_std/mood"]
    ends = [np.asarray(line.get_ydata())[-1] for line in all_drawn[0].axes[0].lines]
    assert any(np.isclose(end, expected) for end in ends)
    assert "Alike" not in all_drawn[1] and "not drawn: mood +0.1" in without_mood[1]


def test_what_never_changed_is_said_in_words(record):
    drawn = optimizer.draw(record)
    assert drawn is not None and "β of the penalty 0.05" in drawn[1]
