"""A sweep's page and tables: what they say, that nothing is run, and that numbers agree."""

import csv
import dataclasses
import re

import numpy as np
import pytest

import rlx.report
from rlx.cli import main
from rlx.comparison.paired import Difference
from rlx.comparison.sweep import GOLD, AxisDifference, SweepComparison
from rlx.comparison.unit import Units
from rlx.core.error import UserError
from rlx.reporting.figure.sweep import effects
from rlx.reporting.sweep.tables import Table, as_csv, as_latex, differences
from rlx.reporting.sweep.words import components, in_short, sentence, sweep_verdict
from rlx.run.sweep_record import load_sweep
from tests.synthetic_sweep import write_sweep
from tests.test_report import Page

AXES = {"reward": ["single", "warm"], "optimizer": ["ppo", "bon"]}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep with one failed and one interrupted cell, and its page."""
    folder = write_sweep(tmp_path_factory.mktemp("runs"), AXES, failed=[2], unfinished=[4])
    assert rlx.report.run(folder) == 0
    return folder, Page((folder / "report.html").read_text(encoding="utf-8"))


def difference(
    value: float, low: float | None, high: float | None, num: int = 3, need: int | None = 7
) -> AxisDifference:
    units = Units("data seed", np.linspace(value - 0.1, value + 0.1, num) if num > 1 else np.array([value]), num)
    return AxisDifference("reward", "warm", "single", GOLD, 2, Difference(low, high, 0.25, need, units))


@pytest.mark.parametrize(
    ("one", "says", "short"),
    [
        (
            difference(0.31, 0.1, 0.52),
            "reward=warm has more gold than reward=single: +0.31 SD [0.10, 0.52] (3 data seeds, 2 settings each).",
            "warm is higher",
        ),
        (difference(-0.31, -0.52, -0.1), "reward=warm has less gold than reward=single", "single is higher"),
        (
            difference(0.31, -0.2, 0.82),
            "are not distinguishable at 3 data seeds, 2 settings each: +0.31 SD [−0.20, 0.82]; a difference of this size and "
            "spread would take about 7 data seeds",
            "not distinguishable at 3 data seeds; needs about 7",
        ),
        (
            difference(0.0, -0.2, 0.2, need=None),
            "a difference as small as this would take more than 1,000 data seeds",
            "not distinguishable at 3 data seeds; needs more than 1,000",
        ),
        (
            difference(0.31, None, None, num=1),
            "with one data seed, which says nothing about others",
            "one data seed: no interval",
        ),
        (
            difference(0.31, 0.1, 0.52, num=2),
            "(2 data seeds, 2 settings each), too few for a claim",
            "2 data seeds: too few for a claim",
        ),
        (difference(0.31, None, None), "in every data seed alike", "the same in every data seed"),
    ],
)
def test_a_difference_is_said_in_words_that_its_interval_bears(one, says, short):
    assert says in sentence(one)
    assert in_short(one) == short


def test_the_page_tells_what_can_be_told_apart_what_failed_and_what_it_does_not_cover(swept):
    _, page = swept
    text = " ".join(page.text.split())
    for words in (
        "10 done, 1 failed, 1 interrupted",
        "12 cells: reward: single, warm; optimizer: ppo, bon; seed 0, 1, 2.",
        "reward=warm has more gold than reward=single",
        "All cells share one data seed, so this result is about one set of data and reward models",
        "3 run seeds",
        "UserError: the reward of step 41 is NaN <b>",
        "single · ppo, seed 2",
        "d (a − b log d)",
        "2 of 3",
    ):
        assert words in text, words
    assert page.tags.count("img") == 4


def test_the_page_needs_no_file_and_no_script_and_shows_no_markup_of_others(swept):
    _, page = swept
    assert "script" not in page.tags and "link" not in page.tags and "is NaN <b>" not in page.source
    assert not re.search(r"https?://", re.sub(r"base64,[\w+/=]+", "", page.source))


def test_tables_lie_beside_the_pictures_as_csv_with_plain_numbers_and_as_latex(swept):
    folder, _ = swept
    names = {path.name for path in (folder / "figures").iterdir()}
    pictures = {f"{name}.png" for name in ("effects", "frontier", "fits", "grid")}
    assert names == pictures | {f"{t}.{e}" for t in ("cells", "differences", "fits", "means") for e in ("csv", "tex")}
    with (folder / "figures" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    comparison = SweepComparison(load_sweep(folder))
    wanted = next(one for one in comparison.differences if one.axis == "reward" and one.measure == GOLD)
    found = next(row for row in rows if row["axis"] == "reward" and row["measure"] == GOLD)
    assert float(found["low"]) == wanted.difference.low and found["distinguishable"] == "True"
    assert len(list(csv.DictReader((folder / "figures" / "cells.csv").open()))) == 12
    latex = (folder / "figures" / "differences.tex").read_text()
    assert latex.startswith(r"\begin{tabular}{lrrrrrr}") and r"reward: warm $-$ single & +" in latex
    assert latex.count(r"\\") == 1 + len(differences(comparison).rows)


def test_latex_takes_no_sign_of_ours_for_its_own():
    table = Table("t", "", ["a_b", "50 %"], [["x & y", "{#$}\\~^"]], [])
    assert r"a\_b & 50 \% \\" in as_latex(table)
    assert r"x \& y & \{\#\$\}\textbackslash{}\textasciitilde{}\textasciicircum{} \\" in as_latex(table)


def test_csv_has_the_columns_of_all_records():
    assert as_csv(Table("t", "", [], [], [{"a": 1, "b": None}, {"a": 2, "c": 0.5}])) == "a,b,c\n1,,\n2,,0.5\n"


def test_a_sweep_in_which_nothing_is_done_has_a_page(tmp_path):
    folder = write_sweep(tmp_path, {"reward": ["single", "warm"]}, seeds=[0], failed=[0, 1])
    assert main(["report", str(folder)]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "Nothing can be said yet" in page.text and "2 failed" in page.text and "img" not in page.tags
    assert "it takes a cell with two evaluations" in page.text


def test_a_run_directory_that_is_gone_is_a_row_that_says_so(tmp_path):
    folder = write_sweep(tmp_path, {"reward": ["single", "warm"]}, seeds=[0])
    gone = next(path for path in tmp_path.glob("warm-*"))
    (gone / "config.yaml").unlink()
    record = load_sweep(folder)
    assert [cell.state for cell in record.cells] == ["done", "gone"]


def test_an_index_that_is_damaged_or_absent_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"is not a sweep: it has no index\.jsonl"):
        load_sweep(tmp_path)
    (tmp_path / "index.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"index\.jsonl is not JSON"):
        load_sweep(tmp_path)


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (Units("data seed", np.array([1.0, 2.0, 3.0]), 9, 0.98, 0.31), "0.98 | 0.31"),
        (Units("run seed", np.array([1.0, 2.0, 3.0]), 3, None, 1.0), "? | 1.00"),
        (Units("data seed", np.array([1.0, 2.0, 3.0]), 3), "1.00 together"),
        (Units("run seed", np.array([1.0]), 1), ""),
    ],
)
def test_both_components_of_variance_are_shown_as_far_as_they_can_be_told(units, shown):
    assert components(units) == shown


def test_a_page_over_data_seeds_says_what_n_counts(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path, {"reward": ["single", "warm"]}, seeds=range(6)))
    cells = [dataclasses.replace(cell, seed=cell.seed % 2, data_seed=cell.seed // 2) for cell in sweep.cells]
    comparison = SweepComparison(dataclasses.replace(sweep, cells=cells))
    said = " ".join(sweep_verdict(comparison).sentences)
    assert "3 data seeds" in said and "Intervals count data seeds" in said and "one data seed" not in said
    table = differences(comparison)
    row = dict(zip(table.headings, table.rows[0], strict=True))
    assert row["n"] == "3 data seeds" and re.fullmatch(r"\d\.\d\d \| \d\.\d\d", row["SD of gold, data | run seeds"])
    assert table.records[0]["n"] == 3 and table.records[0]["unit"] == "data seed" and table.records[0]["runs"] == 6
    _, caption = effects.draw(comparison) or (None, "")
    assert "mean over data seeds with" in caption and "one set of data" not in caption
