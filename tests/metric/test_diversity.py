import pytest

from rlx.metric.diversity import distinct, duplicates, repetition, similarity


def test_distinct_counts_over_all_texts_together():
    # a b, b c | a b: two different bigrams of three
    assert distinct(["a b c", "a b"], 2) == pytest.approx(2 / 3)
    assert distinct(["a", ""], 2) is None


def test_a_text_that_repeats_itself_is_seen():
    # trigrams aba bab aba bab aba bab: two of six are new
    assert repetition("a b a b a b a b", 3) == pytest.approx(4 / 6)
    assert repetition("a b", 3) == 0.0


def test_the_same_answer_to_every_prompt_has_similarity_one():
    assert similarity(["a b c"] * 4, 2) == pytest.approx(1.0)


def test_answers_that_share_nothing_have_similarity_zero():
    assert similarity(["a b", "c d", "e f"], 2) == pytest.approx(0.0)


def test_similarity_is_the_mean_cosine_of_pairs():
    # (ab, bc), (ab, bd): cosine 1 / (sqrt 2 sqrt 2) = .5; with (xy): .5, 0, 0
    assert similarity(["a b c", "a b d", "x y"], 2) == pytest.approx(0.5 / 3)


def test_a_lone_text_has_no_similarity():
    assert similarity(["a b", ""], 2) is None


def test_duplicates_are_texts_that_another_prompt_got_too():
    assert duplicates(["a", "b", "a", "c"]) == 0.5
