import numpy as np

from rlx.run.columns import Columns

ROWS = [
    {"step": 1, "split": "train", "kl": 0.5, "seen": True},
    {"step": 3, "split": "train", "kl": None},
    {"step": 2, "split": "train", "kl": 2, "late": 1.5},
    {"step": 3, "split": "train", "kl": 4.0, "late": "text"},
]


def test_a_column_has_the_numbers_of_the_rows_that_have_it_by_step():
    for parts in (ROWS,), (ROWS[:1], ROWS[1:]), ([], *([row] for row in ROWS)):
        columns = Columns()
        for part in parts:
            columns.add(part)
        found = {
            name: [list(array) for array in columns.series(name)] for name in ("kl", "late", "seen", "split", "no")
        }
        assert found == {
            "kl": [[1, 2, 3], [0.5, 2.0, 4.0]],
            "late": [[2], [1.5]],
            "seen": [[1], [1.0]],
            "split": [[], []],
            "no": [[], []],
        }
        assert columns.last_step == 3
    steps, values = Columns().series("kl")
    assert steps.dtype.kind == "i" and len(steps) == len(values) == 0 and Columns().last_step is None


def test_of_several_rows_of_a_step_the_last_one_counts_even_where_it_has_less():
    assert [list(array) for array in Columns([{"step": 1, "kl": 1.0}, {"step": 1}]).series("kl")] == [[], []]


def test_a_number_takes_eight_bytes():
    columns = Columns([{"step": step, "kl": 0.5 * step} for step in range(1000)])
    assert sum(part.values.nbytes for part in columns._parts["kl"]) == 8 * 1000
    assert np.array_equal(columns.series("kl")[1], 0.5 * np.arange(1000))
