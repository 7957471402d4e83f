import time

import pytest

from rlx.metric.meteor import MAX_PAIRS, MAX_WORDS, meteor, meteor_similarity, pairs_of


def test_a_text_and_itself_lose_only_the_penalty_of_one_chunk():
    # all 5 words match in one chunk: 1 - .5 (1 / 5)^3
    assert meteor("the sad whale swims .", "the sad whale swims .") == pytest.approx(0.996)
    assert meteor("whale", "whale") == 0.5


def test_texts_that_share_no_word_have_nothing_in_common():
    assert meteor("the sad whale", "many kings rule") == 0.0


def test_a_stem_matches():
    # "whales" and "whale", "sails" and "sail": 2 of 2 in one chunk, 1 - .5 (1 / 2)^3
    assert meteor("whales sail", "whale sails") == pytest.approx(1 - 0.5 / 8)


def test_precision_recall_and_chunks_are_as_in_the_paper():
    # 2 of the hypothesis' 3 and of the reference's 4 words match, in two chunks:
    # P = 2/3, R = 1/2, F = P R / (.9 P + .1 R) = .5128, penalty .5 (2 / 2)^3
    assert meteor("a b c d", "a x c") == pytest.approx(0.5 * (2 / 3 * 0.5) / (0.9 * 2 / 3 + 0.1 * 0.5), abs=1e-12)
    assert meteor("a x c", "a b c d") == pytest.approx(0.5 * (2 / 3 * 0.5) / (0.9 * 0.5 + 0.1 * 2 / 3), abs=1e-12)


def test_synonyms_do_not_match_because_wordnet_is_not_there():
    assert meteor("a happy dog", "a glad dog") == meteor("a happy dog", "a xyzzy dog")


def test_similarity_is_the_mean_over_both_orders_of_all_pairs():
    texts = ["a b c d", "a x c", "u v"]
    found = [meteor(x, y) for x in texts for y in texts if x is not y]
    assert meteor_similarity(texts) == pytest.approx(sum(found) / 6)


def test_one_answer_to_every_prompt_is_seen():
    assert meteor_similarity(["a b c d e"] * 9) == pytest.approx(0.996)


def test_empty_answers_are_left_aside():
    assert meteor_similarity(["a b c d e", "", " ", "a b c d e"]) == pytest.approx(0.996)
    assert meteor_similarity(["a b", ""]) is None


def test_many_texts_are_read_in_a_part_of_their_pairs_which_is_the_same_every_time():
    texts = [f"text number {i}" for i in range(60)]
    chosen = pairs_of(texts, MAX_PAIRS, MAX_WORDS)
    assert len(set(chosen)) == MAX_PAIRS and all(i < j for i, j in chosen)
    assert chosen == pairs_of([f"other {i}" for i in range(60)], MAX_PAIRS, MAX_WORDS)
    assert len({i for pair in chosen for i in pair}) > 55


def test_long_texts_are_read_in_fewer_pairs_and_at_least_one():
    assert len(pairs_of(["w " * 100] * 10, 128, 1000)) == 5  # 200 words a pair
    assert len(pairs_of(["w " * 1000] * 10, 128, 1000)) == 1


def test_an_evaluation_costs_less_than_three_tenths_of_a_second():
    texts = [" ".join(f"word{(7 * i + j) % 500}ing" for j in range(30)) for i in range(256)]
    best = float("inf")
    for _ in range(3):  # the machine may be busy
        start = time.perf_counter()
        meteor_similarity(texts)
        best = min(best, time.perf_counter() - start)
    assert best < 0.3
