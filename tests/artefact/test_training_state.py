import pytest

from rlx.artefact.training_state import latest, mark
from rlx.core.error import UserError


def test_the_newest_one_with_a_mark_counts(tmp_path):
    for update in (8, 16, 24):
        (tmp_path / f"checkpoint-{update}").mkdir()
    mark(tmp_path / "checkpoint-8", 2, "whole", beta=0.1)
    mark(tmp_path / "checkpoint-16", 4, "whole", beta=0.2)
    found = latest(tmp_path)
    assert found is not None
    assert (found.path.name, found.step, found.layout, found.more) == ("checkpoint-16", 4, "whole", {"beta": 0.2})
    assert latest(tmp_path / "none") is None


def test_one_of_another_layout_is_refused_with_both_and_what_to_do(tmp_path):
    (tmp_path / "checkpoint-8").mkdir()
    mark(tmp_path / "checkpoint-8", 2, "zero3 on 8 processes")
    found = latest(tmp_path)
    assert found is not None
    found.check("zero3 on 8 processes", "the policy")
    with pytest.raises(UserError) as error:
        found.check("zero3 on 4 processes", "the policy")
    assert str(error.value) == (
        f"{tmp_path}/checkpoint-8 was written as 'zero3 on 8 processes' and cannot be read as 'zero3 on 4 processes': go on "
        f"with the compute that wrote it, or delete {tmp_path} to train the policy from its start again"
    )
