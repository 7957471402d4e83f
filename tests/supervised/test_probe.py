from rlx.supervised.probe import load_head


def test_all_members_start_from_one_head(member, store):
    assert store.path(member(0).head, 0) == store.path(member(3).head, 0)
    assert load_head(store.fetch(member(0).head, 0)).shape == (1, 16)
