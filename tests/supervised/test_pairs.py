import json

import pytest
from word_world import GoodWords, WordWorld

from rlx.core.error import UserError
from rlx.supervised.pairs import flipped_indices, read


@pytest.mark.parametrize(("num_pairs", "noise", "flips"), [(100, 0.25, 25), (10, 0.33, 3), (7, 0.0, 0), (7, 1.0, 7)])
def test_exactly_the_rounded_share_of_labels_is_flipped(num_pairs, noise, flips):
    indices = flipped_indices(num_pairs, noise, seed=0)
    assert len(indices) == len(set(indices)) == flips and all(0 <= i < num_pairs for i in indices)


def test_the_flips_follow_from_the_seed_and_less_noise_flips_a_part_of_more():
    assert flipped_indices(100, 0.25, 0) == flipped_indices(100, 0.25, 0) != flipped_indices(100, 0.25, 1)
    assert set(flipped_indices(100, 0.25, 0)) < set(flipped_indices(100, 0.35, 0))


def test_the_judge_labels_drawn_pairs_and_noise_swaps_those_that_are_recorded(member, store):
    path = store.fetch(member().pairs, 0)
    pairs, told = read(path / "pairs.jsonl"), json.loads((path / "pairs.json").read_text())
    assert len(pairs) == 16 and told["flipped"] == [i for i, pair in enumerate(pairs) if pair.flipped]
    assert len(told["flipped"]) == 4  # round(.25 * 16)
    for pair in pairs:
        chosen, rejected = GoodWords().score([pair.prompt] * 2, [pair.chosen, pair.rejected])
        assert (chosen < rejected) if pair.flipped else (chosen > rejected)


def test_no_noise_is_the_identity_and_all_levels_share_the_drawn_pairs(member, store):
    noisy, clean = member(), member(world=WordWorld(label_noise=0.0))
    assert noisy.pairs.clean == clean.pairs.clean or store.path(noisy.pairs.clean, 0) == store.path(
        clean.pairs.clean, 0
    )
    path = store.fetch(clean.pairs, 0)
    assert read(path / "pairs.jsonl") == read(store.fetch(clean.pairs.clean, 0) / "pairs.jsonl")


def test_held_out_pairs_are_clean_and_on_other_prompts(member, store):
    path = store.fetch(member().pairs, 0)
    train, heldout = read(path / "pairs.jsonl"), read(path / "heldout.jsonl")
    assert len(heldout) == 8 and not any(pair.flipped for pair in heldout)
    assert not {pair.prompt.id for pair in train} & {pair.prompt.id for pair in heldout}


def test_a_completion_that_the_limit_cut_off_is_kept_without_an_end(member, store):
    pairs = read(store.fetch(member().pairs, 0) / "pairs.jsonl")
    texts = [completion for pair in pairs for completion in (pair.chosen, pair.rejected)]
    for completion in texts:
        assert len(completion.text.split()) <= (5 if completion.ended else 6)  # 6 tokens, the end included


def test_given_pairs_are_taken_as_they_are(member, store):
    path = store.fetch(member(world=WordWorld(given=True, label_noise=0.0)).pairs, 0)
    assert {pair.chosen.text for pair in read(path / "pairs.jsonl")} == {"good cat"}


def test_the_world_takes_its_part_of_what_is_short_enough(member, store):
    class Modest(WordWorld):
        def to_train_on(self, whose, fitting):
            return fitting[:3] if whose == "proxies" else fitting

    path = store.fetch(member(world=Modest(given=True)).pairs.clean, 0)
    assert len(read(path / "pairs.jsonl")) == 3 and len(read(path / "heldout.jsonl")) == 8


def test_pairs_that_are_all_too_long_are_an_error(member, store):
    with pytest.raises(UserError, match="no preference pair is short enough"):
        store.fetch(member(world=WordWorld(given=True, max_completion_tokens=2)).pairs.clean, 0)
