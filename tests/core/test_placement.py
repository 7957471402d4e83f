import pytest

from rlx.core.placement import placement


@pytest.mark.parametrize(
    ("members", "processes", "own"),
    [(2, 2, 1), (3, 2, 2), (5, 8, 1), (3, 8, 1), (2, 8, 1), (9, 4, 3)],
)
def test_whole_members_on_several_processes_are_placed(members, processes, own):
    found = placement("auto", members, processes, adapters=False)
    assert found.placed and found.own == own
    assert placement(True, members, processes, adapters=False) == found


def test_false_is_kept():
    assert not placement(False, 4, 2, adapters=False).placed


def test_adapters_one_process_and_one_member_are_never_placed():
    for setting in ("auto", True):
        assert not placement(setting, 4, 2, adapters=True).placed
        assert not placement(setting, 4, 1, adapters=False).placed
        assert not placement(setting, 1, 2, adapters=False).placed
        assert not placement(setting, 0, 2, adapters=False).placed


def test_many_processes_do_not_wait_for_few_members_unless_they_are_told_to():
    found = placement("auto", 3, 64, adapters=False)  # three would score what 64 do: 64 / 3 times as long
    assert not found.placed and found.own == 3 and "21.3 times as long" in found.why
    assert placement(True, 3, 64, adapters=False).placed
    assert placement("auto", 2, 8, adapters=False).placed  # four times
    assert not placement("auto", 2, 10, adapters=False).placed
