import random

import pytest

from rlx.command.compose import compose
from rlx.core.build import build
from rlx.core.signature import constant
from rlx.core.world import FactorWorld, without_factors
from rlx.world.lab_language.generator import respond
from rlx.world.lab_language.lexicon import words
from rlx.world.lab_language.pieces import FRAME, GROUPS, MOOD, POLITE, SMALL, TOPIC, pieces
from rlx.world.lab_language.request import Request

TEXT = "once upon a time , the sad whale rolls sadly . thank you kindly . the end ."


def test_words_are_told_apart_by_lexicon_and_phrases_are_wholes():
    assert [(group, piece.strip()) for group, piece in pieces(TEXT)] == [
        *((FRAME, word) for word in ["once", "upon", "a", "time", ","]),
        (SMALL, "the"), (MOOD, "sad"), (TOPIC, "whale"), (TOPIC, "rolls"), (MOOD, "sadly"), (SMALL, "."),
        *((POLITE, word) for word in ["thank", "you", "kindly", "."]),
        *((FRAME, word) for word in ["the", "end", "."]),
    ]  # fmt: skip


def test_taking_a_group_out_leaves_the_other_words_in_their_order():
    assert without_factors(pieces(TEXT), {POLITE, FRAME}) == "the sad whale rolls sadly . "
    assert without_factors(pieces(TEXT), {TOPIC, MOOD, SMALL}).split() == [
        "once",
        "upon",
        "a",
        "time",
        ",",
        "thank",
        "you",
        "kindly",
        ".",
        "the",
        "end",
        ".",
    ]
    assert without_factors(pieces(TEXT), set(GROUPS)) == ""


def test_a_neutral_modifier_is_a_small_word_and_a_phrase_in_part_is_no_phrase():
    assert {group for group, _ in pieces("old here thank you .")} == {SMALL}


def test_every_response_of_the_generator_is_its_pieces():
    rng = random.Random(0)
    for i in range(200):
        text = respond(rng, Request("plain", "sad", "story", "ocean"), (0.35, 0.45, 0.2), 0.8)
        found = pieces(text)
        assert "".join(piece for _, piece in found) == text, i
    assert pieces("") == []


def test_every_word_of_the_language_has_a_group():
    assert {group for word in words() for group, _ in pieces(word)} == {TOPIC, MOOD, SMALL}


@pytest.mark.parametrize(
    "words", [["world=lab"], ["world=preferences", "world.path=pairs.jsonl", "model=pretrained", "model.path=m"]]
)
def test_shipped_worlds_take_groups_out_and_say_which_without_being_imported(words):
    node = compose(words)[0].config["world"]
    world = build(node)
    assert isinstance(world, FactorWorld)
    assert {group for group, _ in world.factor_pieces("a sad whale . why? ")} <= set(world.factor_groups)
    assert constant(node["_target_"], "factor_groups") == world.factor_groups
