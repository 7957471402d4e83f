"""Of two processes each scores, encodes and draws a half, once, and both get the numbers of one."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from two_threads import TwoThreads
from word_world import GoodWords, completions

from rlx.artefact.store import Store
from rlx.core.world import Pair, Prompt
from rlx.model.score_head import load_reward_model, score_rows, shared_scores
from rlx.supervised import limit, probe, reward_rows
from rlx.supervised.combined import MembersOnPairs
from rlx.supervised.gold import judged_together
from rlx.supervised.member import accuracies, measured_parts
from rlx.supervised.pairs import read
from rlx.supervised.probe import difference_features
from rlx.supervised.reward_rows import PairRows, RewardRows


@pytest.fixture
def two(monkeypatch) -> TwoThreads:
    return TwoThreads(monkeypatch)


@pytest.fixture
def counted(two, monkeypatch) -> Counter[int]:
    """Rows that each process scores, by rank; -1 where a process is alone."""
    found: Counter[int] = Counter()

    def counting(model, rows, batch_size=64):
        found[getattr(two.own, "rank", -1)] += len(rows)
        return score_rows(model, rows, batch_size)

    monkeypatch.setattr("rlx.model.score_head.score_rows", counting)
    return found


@pytest.fixture
def trained(member, store):
    """A reward model and its training and held-out pairs in ids."""
    path, pairs = store.fetch(member(0), 0), store.fetch(member(0).pairs, 0)
    train, heldout = read(pairs / "pairs.jsonl"), read(pairs / "heldout.jsonl")
    rows = RewardRows(member(0).model, [])
    return load_reward_model(path), rows.of_pairs(train), rows.of_pairs(heldout)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_scores_of_two_are_those_of_one_and_each_row_is_scored_once(trained, two, counted, number):
    model, train, _ = trained
    wanted = score_rows(model, train.chosen[:number])
    for found in two.both(lambda rank: shared_scores(model, train.chosen[:number])):
        torch.testing.assert_close(found, wanted)
    assert sorted([counted[0], counted[1]]) == [number // 2, number - number // 2]


def test_of_two_each_scores_half_of_the_pairs_that_a_member_is_measured_on(trained, two, counted):
    model, train, heldout = trained
    parts = measured_parts(train, heldout, 0)
    alone = accuracies(model, parts, "alone")
    assert counted[-1] == 2 * (16 + 8)
    assert two.both(lambda rank: accuracies(model, parts, "two")) == [alone, alone]
    assert counted[0] == counted[1] == 16 + 8


def test_of_two_each_reads_half_of_the_features(trained, two, monkeypatch):
    model, train, _ = trained
    wanted, seen = difference_features(model, train, "alone"), Counter()
    own = probe.last_hidden

    def counting(trunk, ids_BT, mask_BT):
        seen[two.own.rank] += len(ids_BT)
        return own(trunk, ids_BT, mask_BT)

    monkeypatch.setattr(probe, "last_hidden", counting)
    for found in two.both(lambda rank: difference_features(model, train, "two")):
        torch.testing.assert_close(found, wanted)
    assert seen == {0: 16, 1: 16}
    odd = train.at(range(1))  # one of the two has nothing to do
    for found in two.both(lambda rank: difference_features(model, odd, "two")):
        torch.testing.assert_close(found, wanted[:1])


def test_of_two_each_encodes_half_of_the_pairs(trained, member, two, monkeypatch):
    _, train, _ = trained
    encoded: Counter[int] = Counter()
    own = reward_rows.encode_completions

    def counting(tokenizer, texts):
        encoded[two.own.rank] += len(texts)
        return own(tokenizer, texts)

    monkeypatch.setattr(reward_rows, "encode_completions", counting)
    rows = RewardRows(member(0).model, [])
    assert two.both(lambda rank: rows.of_pairs(train.pairs)) == [train, train]
    assert encoded == {0: 16, 1: 16}


def test_of_two_each_counts_the_tokens_of_half_of_the_texts(member, two, monkeypatch):
    counted: Counter[int] = Counter()

    def counting(tokenizer, text):
        counted[getattr(two.own, "rank", -1)] += 1
        return range(len(text.split()))

    for name in ("encode_prompt", "encode_completion"):
        monkeypatch.setattr(limit, name, counting)
    recipe, tokenizer = member(0), member(0).model.tokenizer()
    world = replace(recipe.world, max_prompt_tokens=1, max_completion_tokens=2)
    pairs = [
        Pair(Prompt(str(i), f"p{i % 4}" + " p" * (i == 9)), f"c{i}", "r r r" if i == 5 else f"r{i}") for i in range(10)
    ]

    def kept(rank):
        return limit.length_limit(world, tokenizer).pairs(pairs)

    alone = kept(0)
    assert alone == ([pair for i, pair in enumerate(pairs) if i not in (5, 9)], {"pairs over 1+2 tokens": 2})
    assert counted.pop(-1) == 5 + 18  # 4 short prompts and a long one, whose completions nobody counts
    assert two.both(kept) == [alone, alone]
    assert counted == {0: 3 + 9, 1: 2 + 9}


def test_of_two_each_asks_gold_of_a_half(two):
    prompts, texts = [Prompt(str(i), "say cat") for i in range(3)], completions("good", "bad", "good good")
    asked = []

    class Noting(GoodWords):
        def score(self, prompts, completions):
            asked.append(len(completions))
            return super().score(prompts, completions)

    assert two.both(lambda rank: judged_together(Noting(), prompts, texts)) == [[1, -1, 2]] * 2
    assert sorted(asked) == [1, 2]


def test_of_two_each_scores_half_of_what_the_reward_models_are_measured_on(member, store, two, counted):
    """Whoever builds it alone would wait for the other for ever."""
    recipe = MembersOnPairs(tuple(member(i, num_epochs=4.0) for i in range(2)))
    for one in recipe.members:
        store.fetch(one, 0)
    counted.clear()  # of their training
    alone = json.loads((store.fetch(recipe, 0) / "accuracy.json").read_text())
    rows = counted[-1]
    stores = [Store(store.root) for _ in range(2)]  # each process has its own

    def build(rank):
        folder = store.root / f"two-{rank}"
        folder.mkdir()
        recipe.build(folder, stores[rank], 0)
        return json.loads((folder / "accuracy.json").read_text())

    for found in two.both(build):
        assert [row["kind"] for row in found] == [row["kind"] for row in alone]
        assert [row["accuracy"] for row in found] == [pytest.approx(row["accuracy"]) for row in alone]
    assert counted[0] == counted[1] == rows // 2


def test_of_more_training_pairs_than_are_measured_a_random_sample_is_and_it_is_counted(trained, monkeypatch):
    _, train, heldout = trained
    many = PairRows(list(train.pairs) * 2, train.chosen * 2, train.rejected * 2)
    monkeypatch.setattr("rlx.supervised.member.MAX_TRAIN_MEASURED", 10)
    parts = measured_parts(many, heldout, 0)  # 8 of 32 are flipped: all of those are measured
    assert {name: len(part.pairs) for name, part in parts.items()} == {
        "train_clean": 10,
        "train_flipped": 8,
        "heldout": 8,
    }
    clean = [i for i, pair in enumerate(many.pairs) if not pair.flipped]
    chosen = [many.chosen[i] for i in clean]
    places = [chosen.index(ids) for ids in parts["train_clean"].chosen]
    assert places != list(range(10))  # not the first ones
    assert measured_parts(many, heldout, 0) == parts != measured_parts(many, heldout, 1)


def test_as_many_training_pairs_as_are_measured_stay_in_their_order(trained, monkeypatch):
    _, train, heldout = trained
    monkeypatch.setattr("rlx.supervised.member.MAX_TRAIN_MEASURED", 12)
    clean = [pair for pair in train.pairs if not pair.flipped]
    assert len(clean) == 12 and measured_parts(train, heldout, 0)["train_clean"].pairs == clean


def test_every_text_that_a_member_is_trained_and_measured_on_is_tokenised_once(member, store, tmp_path, monkeypatch):
    recipe = member(0)
    for needed in (recipe.head, recipe.reference_set):
        store.fetch(needed, 0)  # which tokenise texts of their own
    prompts, texts, own = [], [], (reward_rows.encode_prompts, reward_rows.encode_completions)
    monkeypatch.setattr(reward_rows, "encode_prompts", lambda t, asked: prompts.append(len(asked)) or own[0](t, asked))
    monkeypatch.setattr(
        reward_rows, "encode_completions", lambda t, asked: texts.append(len(asked)) or own[1](t, asked)
    )
    recipe.build(tmp_path, store, 0)
    assert texts == [2 * 16, 16, 2 * 8]  # training pairs, the reference set, held-out pairs
    assert max(prompts) <= 8  # of which there are as many on either side, whatever the number of pairs
