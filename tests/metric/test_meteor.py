from types import SimpleNamespace

import numpy as np
import pytest

from rlx.metric.meteor import MAX_PAIRS, MAX_WORDS, dyadic_interval, measure, meteor, pairs_of, scores_of_pairs


def measured(texts):
    return measure(SimpleNamespace(completions=[SimpleNamespace(text=text) for text in texts]))


def similarity(texts):
    return measured(texts).get("diversity/meteor")


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
    assert similarity(texts) == pytest.approx(sum(found) / 6)


def test_one_answer_to_every_prompt_is_seen():
    assert similarity(["a b c d e"] * 9) == pytest.approx(0.996)


def test_empty_answers_are_left_aside():
    assert similarity(["a b c d e", "", " ", "a b c d e"]) == pytest.approx(0.996)
    assert similarity(["a b", ""]) is None


def test_many_texts_are_read_in_a_part_of_their_pairs_which_is_the_same_every_time():
    texts = [f"text number {i}" for i in range(60)]
    chosen = pairs_of(texts, MAX_PAIRS, MAX_WORDS)
    assert len(set(chosen)) == MAX_PAIRS and all(i < j for i, j in chosen)
    assert chosen == pairs_of([f"other {i}" for i in range(60)], MAX_PAIRS, MAX_WORDS)
    assert len({i for pair in chosen for i in pair}) > 55


def test_long_texts_are_read_in_fewer_pairs_and_at_least_one():
    assert len(pairs_of(["w " * 100] * 10, 128, 1000)) == 5  # 200 words a pair
    assert len(pairs_of(["w " * 1000] * 10, 128, 1000)) == 1


def scores_of_common_texts(rng, num_texts, pairs):
    """Pairs of alike texts score alike: half of a score's variance is its texts'."""
    of_text = rng.normal(size=num_texts)
    return np.array([of_text[i] + of_text[j] for i, j in pairs]) + rng.normal(size=len(pairs)) * 2**0.5


@pytest.mark.parametrize(("num_texts", "max_words"), [(128, 12_000), (128, 2_100), (24, 12_000)])
def test_the_interval_covers_the_mean_although_pairs_share_texts(num_texts, max_words):
    pairs, rng = pairs_of(["w " * 30] * num_texts, MAX_PAIRS, max_words), np.random.default_rng(0)
    bounds = [dyadic_interval(scores_of_common_texts(rng, num_texts, pairs), pairs) for _ in range(2000)]
    assert 0.92 < np.mean([low < 0 < high for low, high in bounds]) < 0.97


def test_fewer_pairs_of_long_texts_have_a_wider_interval_and_their_number_is_told():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{i}" for i in rng.integers(0, 60, 40)) for _ in range(64)]
    short, long = measured(texts), measured([" ".join([text] * 4) for text in texts])
    assert short["diversity/meteor_pairs"] == MAX_PAIRS and long["diversity/meteor_pairs"] == 37
    assert short["diversity/meteor_low"] < short["diversity/meteor"] < short["diversity/meteor_high"]
    assert dyadic_interval(scores_of_pairs(["a b", "a c"], [(0, 1)]), [(0, 1)]) is None
