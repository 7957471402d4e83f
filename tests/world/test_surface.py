import random

import pytest

from rlx.core.world import without_factors
from rlx.world.surface import FIRST_WORDS, GROUPS, HEAD, LISTS, QUESTIONS, REPEATED, TAIL, pieces


def groups_of(text):
    return [(group, piece.strip()) for group, piece in pieces(text) if piece.strip()]


def test_the_names_of_the_groups_say_after_how_many_words_the_tail_begins():
    assert f"beyond {FIRST_WORDS} words" == TAIL and f"first {FIRST_WORDS} words" == HEAD


def test_sentences_lists_questions_and_repeats_are_told_apart():
    text = "Boil the water first. Why? Because it helps.\n- one egg\n2) two eggs\nBoil  the water FIRST. It costs 3.50 today."
    assert groups_of(text) == [
        (HEAD, "Boil the water first."),
        (QUESTIONS, "Why?"),
        (HEAD, "Because it helps."),
        (LISTS, "- one egg"),
        (LISTS, "2) two eggs"),
        (REPEATED, "Boil  the water FIRST."),
        (HEAD, "It costs 3.50 today."),
    ]


def test_what_begins_after_the_first_words_is_the_tail():
    first = " ".join(["word"] * (FIRST_WORDS - 1)) + " end."
    assert groups_of(f"{first} And then more. What now?") == [
        (HEAD, first),
        (TAIL, "And then more."),
        (QUESTIONS, "What now?"),
    ]


def test_taking_a_group_out_deletes_its_sentences_and_nothing_else():
    text = "One. Two? Three.\n- four\n"
    assert without_factors(pieces(text), {QUESTIONS}) == "One. Three.\n- four\n"
    assert without_factors(pieces(text), set(GROUPS)) == ""


@pytest.mark.parametrize("seed", range(30))
def test_the_pieces_joined_are_the_text_whatever_it_is(seed):
    rng = random.Random(seed)
    alphabet = 'ab .?!\n\r\t-*1)"”…\u2028\x0b  é中🌊'
    text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(200)))
    found = pieces(text)
    assert "".join(piece for _, piece in found) == text
    assert {group for group, _ in found} <= set(GROUPS)
