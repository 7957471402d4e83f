import json
import random

import pytest
from two_threads import TwoThreads
from word_world import WordWorld

from rlx.artefact.store import Store
from rlx.core.world import Completion, Prompt
from rlx.supervised.accuracy import credit
from rlx.supervised.baselines import BagOfWords, PairBaselines
from rlx.supervised.pairs import MAX_MEASURED, Preference, parts


def drawn(num: int, seed: int, flipped_every: int = 0) -> list[Preference]:
    """Texts of random words; the one with more "good" is chosen, whatever its length."""
    rng, pairs = random.Random(seed), []
    while len(pairs) < num:
        texts = [
            " ".join(rng.choices(["good", "bad", "sea", "sun", "cat", "dog"], k=rng.randint(3, 9))) for _ in range(2)
        ]
        better, worse = sorted(texts, key=lambda text: -text.split().count("good"))
        if better.split().count("good") == worse.split().count("good"):
            continue
        flipped = bool(flipped_every) and len(pairs) % flipped_every == 0
        chosen, rejected = (worse, better) if flipped else (better, worse)
        prompt = Prompt(str(len(pairs) // 3), "say it")
        pairs.append(Preference(prompt, Completion(chosen, True), Completion(rejected, True), flipped))
    return pairs


def test_a_bag_of_words_finds_the_word_that_decides_through_flipped_labels():
    bag = BagOfWords(drawn(300, 0, flipped_every=4))
    assert credit(*bag.scores(drawn(200, 1))).mean() > 0.9
    assert bag.counts.get_feature_names_out()[bag.weight_W.argmax()] == "good"


def test_a_bag_of_words_is_the_same_every_time_and_does_not_see_the_order_of_words():
    pairs = drawn(60, 0)
    one, other = BagOfWords(pairs), BagOfWords(pairs)
    assert (one.weight_W == other.weight_W).all()
    turned = [
        Preference(p.prompt, Completion(" ".join(p.chosen.text.split()[::-1]), True), p.rejected, p.flipped)
        for p in pairs
    ]
    assert one.scores(turned)[0] == pytest.approx(one.scores(pairs)[0])


def test_pairs_of_a_single_prompt_are_enough_for_a_bag_of_words():
    pairs = [Preference(Prompt("0", "say"), Completion("good cat", True), Completion("bad cat", True))] * 3
    assert credit(*BagOfWords(pairs).scores(pairs)).tolist() == [1, 1, 1]


def test_judges_are_measured_on_all_held_out_pairs_and_on_a_part_of_the_others():
    pairs = drawn(2 * MAX_MEASURED + 20, 0, flipped_every=2)
    measured = parts(pairs, pairs)
    assert {name: len(part) for name, part in measured.items()} == {
        "heldout": len(pairs), "train_clean": MAX_MEASURED, "train_flipped": MAX_MEASURED
    }  # fmt: skip
    assert all(pair.flipped for pair in measured["train_flipped"])


def test_drawn_pairs_are_held_against_both_baselines(member, store):
    longer, bag = json.loads((store.fetch(PairBaselines(member().pairs), 0) / "baselines.json").read_text())
    assert (longer["kind"], bag["kind"]) == ("longer", "bag_of_words") and longer["limit"] is None
    for row in (longer, bag):
        assert row["pairs_measured"] == {"heldout": 8, "train_clean": 12, "train_flipped": 4}
        assert all(0 <= value <= 1 for value in row["accuracy"].values())


def test_of_given_pairs_what_the_length_limit_does_to_the_longer_one_is_kept(member, store):
    class Uneven(WordWorld):
        def _pairs(self, split, data_seed):
            # The longer one is right in all pairs within the limit, and in half of those beyond it.
            short = super()._pairs(split, data_seed)
            rows = [type(p)(p.prompt, "good good cat", "bad") for p in short]
            rows += [type(p)(p.prompt, "good", "bad bad bad bad bad bad bad") for p in short[:4]]
            return rows

    world = Uneven(given=True, label_noise=0.0)
    longer, _ = json.loads((store.fetch(PairBaselines(member(world=world).pairs), 0) / "baselines.json").read_text())
    for split in ("train", "heldout"):
        limit = longer["limit"][split]
        assert (limit["given"], limit["kept"]) == (12, 8)
        assert limit["longer_given"]["value"] == pytest.approx(8 / 12) and limit["longer_kept"]["value"] == 1


def test_of_two_processes_both_count_tokens_and_the_first_one_writes(member, store, monkeypatch):
    recipe = PairBaselines(member(world=WordWorld(given=True, label_noise=0.0)).pairs)
    alone = (store.fetch(recipe, 0) / "baselines.json").read_text()
    two, stores = TwoThreads(monkeypatch), [Store(store.root) for _ in range(2)]

    def build(rank):
        (folder := store.root / f"baselines-of-{rank}").mkdir()
        recipe.build(folder, stores[rank], 0)
        return [path.read_text() for path in folder.iterdir()]

    assert two.both(build) == [[alone], []]
