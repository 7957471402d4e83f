import numpy as np
import pytest

from rlx.attribution.shapley import MAX_GROUPS
from rlx.core.error import UserError
from rlx.tabular.table import CsvTable, levels


def survey(path, rows=60, columns=("income", "health", "age"), change=None):
    """A CSV of random numbers and a level; `change` edits its lines."""
    rng = np.random.default_rng(0)
    lines = [",".join([*columns, "happiness"])]
    lines += [
        ",".join([*(f"{x:.3f}" for x in rng.normal(size=len(columns))), str(rng.integers(1, 6))]) for _ in range(rows)
    ]
    if change:
        change(lines)
    path.write_text("\n".join(lines) + "\n")
    return path


def table(path, target="happiness", factors=None, groups=None, test_share=0.25):
    return CsvTable(path, target, factors, groups or {}, test_share)


def test_rows_are_divided_by_seed_and_nothing_is_lost(tmp_path):
    source = table(survey(tmp_path / "a.csv"))
    (train, test), (other, _) = source.parts(0), source.parts(1)
    assert len(test.y_B) == 15 and len(train.y_B) == 45 and train.x_BF.shape == (45, 3)
    both = np.concatenate([train.x_BF, test.x_BF])
    lines = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    assert sorted(both[:, 0].tolist()) == sorted(float(cells[0]) for cells in lines)
    assert not np.array_equal(train.x_BF, other.x_BF)
    np.testing.assert_array_equal(train.x_BF, source.parts(0)[0].x_BF)


def test_named_groups_come_first_and_every_other_column_is_its_own(tmp_path):
    source = table(survey(tmp_path / "a.csv"), groups={"body": ("health", "age")})
    assert source.groups == {"body": (1, 2), "income": (0,)}


def test_the_address_is_of_the_content_and_not_of_the_place(tmp_path):
    survey(tmp_path / "a.csv"), survey(tmp_path / "b.csv")
    survey(tmp_path / "c.csv", rows=61)
    prints = [table(tmp_path / f"{name}.csv").fingerprint() for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
    assert table(tmp_path / "a.csv", groups={"body": ("health", "age")}).fingerprint() != prints[0]


def test_byte_order_marks_blank_lines_and_blanks_around_cells_do_no_harm(tmp_path):
    path = survey(tmp_path / "a.csv", change=lambda lines: lines.insert(3, ""))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b" , "))
    assert len(table(path)._numbers[1]) == 60


def edit(line, text):
    return lambda lines: lines.__setitem__(line - 1, text)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (None, {"target": "hapiness"}, r"target=hapiness: .*a\.csv has no such column \(did you mean 'happiness'\?\)"),
        (None, {"factors": ("income", "helth")}, r"factors=helth: .* no such column \(did you mean 'health'\?\)"),
        (None, {"factors": ("income", "happiness")}, r"'happiness' is the target"),
        (None, {"factors": ("income",)}, r"one factor alone is all of the importance"),
        (None, {"groups": {"body": ("weight",)}}, r"groups\.body: 'weight' is no factor"),
        (None, {"groups": {"a": ("age",), "b": ("age",)}}, r"groups\.b: column 'age' is in the group a already"),
        (edit(5, "1,two,3,4"), {}, r"a\.csv:5: column 'health' has 'two', which is no number; mend or delete the row"),
        (edit(6, "1,,3,4"), {}, r"a\.csv:6: column 'health' has an empty cell, which is no number"),
        (edit(6, "1,nan,3,4"), {}, r"a\.csv:6: column 'health' has 'nan', which is no number"),
        (edit(7, "1,2,3"), {}, r"a\.csv:7: 3 cells, but the first line names 4 columns"),
        (edit(1, "age,income,age,happiness"), {}, r"a\.csv:1: two columns are called 'age'"),
        (lambda lines: lines.clear(), {}, r"needs|at least|no such column|empty"),
        (lambda lines: lines.__delitem__(slice(20, None)), {}, r"19 rows; at least 40 are needed"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_line_with_its_place(tmp_path, change, arguments, message):
    source = table(survey(tmp_path / "a.csv", change=change), **arguments)
    with pytest.raises(UserError, match=message) as error:
        assert source.groups
        source.parts(0)
    assert "\n" not in str(error.value)


def test_a_factor_that_never_varies_is_refused(tmp_path):
    path = survey(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},year", *(f"{line},2024" for line in lines[1:])]))
    with pytest.raises(UserError, match="column 'year' is 2024 in every row; leave it out of factors"):
        table(path).parts(0)


def test_more_factors_than_can_be_enumerated_ask_for_groups(tmp_path):
    names = tuple(f"q{i}" for i in range(MAX_GROUPS + 1))
    path = survey(tmp_path / "a.csv", columns=names)
    with pytest.raises(
        UserError, match=rf"{MAX_GROUPS + 1} factors; exact Shapley values take at most {MAX_GROUPS} groups"
    ):
        assert table(path).groups
    assert len(table(path, groups={"both": names[:2]}).groups) == MAX_GROUPS


@pytest.mark.parametrize(
    ("name", "message"), [("none.csv", "cannot be read: No such file"), ("bytes.csv", "no CSV in UTF-8")]
)
def test_a_file_that_cannot_be_read_is_said(tmp_path, name, message):
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=message):
        assert table(tmp_path / name).columns


def test_a_few_whole_numbers_are_levels():
    assert levels(np.array([1.0, 5.0, 3.0])) == (1, 5)
    assert levels(np.array([1.0, 2.5])) is None and levels(np.arange(11.0)) is None
