from rlx.artefact.store import Store
from rlx.supervised.reference_set import read_reference_set


def test_more_completions_than_prompts_are_drawn_with_other_seeds(member, store):
    prompts, completions = read_reference_set(store.fetch(member().reference_set, 0))
    assert len(prompts) == len(completions) == 16 and len({p.id for p in prompts}) == 8  # eight training prompts, twice
    assert [c.text for c in completions[:8]] != [c.text for c in completions[8:]]


def test_it_follows_from_the_seed_and_all_members_share_it(member, store, tmp_path):
    assert store.path(member(0).reference_set, 0) == store.path(member(3).reference_set, 0)
    again = read_reference_set(Store(tmp_path).fetch(member().reference_set, 0))
    assert read_reference_set(store.fetch(member().reference_set, 0)) == again
