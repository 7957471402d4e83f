import pytest
from word_world import WordWorld, completions, pretrained, sft

from rlx.core.error import UserError
from rlx.core.world import Prompt
from rlx.supervised.pairs import CleanPairs, Preference, read
from rlx.supervised.trusted import TrustedPairs, check_trusted, set_aside


@pytest.fixture
def clean(base):
    return lambda **world: CleanPairs(WordWorld(**world), pretrained(base), sft(), 16, 8, 2, 1.0, 16)


def pairs(number: int, start: int = 0) -> list[Preference]:
    return [
        Preference(Prompt(f"p{i}", f"prompt {i}"), *completions("good", "bad")) for i in range(start, start + number)
    ]


def test_drawn_trusted_pairs_are_others_than_the_training_pairs_and_labelled_by_the_judge(clean, store):
    trusted = read(store.fetch(TrustedPairs(clean(), 12), 0) / "trusted.jsonl")
    train = read(store.fetch(clean(), 0) / "pairs.jsonl")
    judge = WordWorld().judge()
    assert len(trusted) == 12 and not any(pair.flipped for pair in trusted)
    for pair in trusted:
        chosen, rejected = judge.score([pair.prompt] * 2, [pair.chosen, pair.rejected])
        assert chosen > rejected
    texts = [[(p.chosen.text, p.rejected.text) for p in part] for part in (trusted, train[:12])]
    assert texts[0] != texts[1]
    assert {p.prompt.id for p in trusted} <= {p.id for p in WordWorld().prompts("train", 0)}


def test_drawing_trusted_pairs_leaves_the_training_pairs_and_their_address_alone(clean, store):
    path = store.fetch(TrustedPairs(clean(), 12), 0)
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "pairs.json", "trusted.jsonl"]


def test_of_given_pairs_the_trusted_ones_are_taken_away_from_training(clean, store):
    path = store.fetch(TrustedPairs(clean(given=True), 3), 0)
    trusted, rest = (read(path / f"{name}.jsonl") for name in ("trusted", "pairs"))
    given = [pair.id for pair in WordWorld(given=True).prompts("train", 0)]
    assert len(trusted) == 3 and sorted(p.prompt.id for p in trusted + rest) == sorted(given)
    assert len(read(path / "heldout.jsonl")) == 8


def test_the_trusted_of_a_smaller_number_are_among_those_of_a_larger_one():
    few, many = (set_aside(pairs(20), number, seed=5)[0] for number in (4, 9))
    assert {p.prompt.id for p in few} < {p.prompt.id for p in many}
    assert set_aside(pairs(20), 4, seed=6)[0] != few


def test_some_pairs_must_be_left_to_train_on():
    with pytest.raises(UserError, match=r"cleaner.num_trusted=20: there are 20 training pairs, .* lower it"):
        set_aside(pairs(20), 20, 0)


def test_no_trusted_pair_and_held_out_ones_are_refused():
    with pytest.raises(UserError, match="no trusted pairs to learn weights from"):
        check_trusted([], pairs(2))
    with pytest.raises(UserError, match=r"2 trusted pairs are on held-out prompts \(the first: p3\)"):
        check_trusted(pairs(3, start=2), pairs(3, start=3))
    check_trusted(pairs(3), pairs(3, start=3))
