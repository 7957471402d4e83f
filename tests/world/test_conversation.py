import pytest
from trl import extract_prompt

from rlx.world.bad_record import RecordError
from rlx.world.conversation import RawPreference, num_shared, preference, split_implicit

MARKER = "\n\nAssistant:"
ASKED = [{"role": "user", "content": "Sky?"}]


def says(text):
    return {"role": "assistant", "content": text}


def read(chosen, rejected, prompt=None, has_prompt=True, turn_marker=MARKER):
    return preference(prompt, chosen, rejected, turn_marker, has_prompt)


def test_plain_fields_are_kept_to_the_last_space():
    assert read(" blue ", " green", "Sky? ") == RawPreference("Sky? ", " blue ", " green")


def test_messages_with_a_given_prompt():
    assert read([says("Blue.")], [says("Green.")], ASKED) == RawPreference((("user", "Sky?"),), "Blue.", "Green.")


def test_a_given_prompt_that_the_completions_repeat_is_not_asked_twice():
    assert read([*ASKED, says("Blue.")], [*ASKED, says("Green.")], ASKED).prompt == (("user", "Sky?"),)


def test_implicit_messages_give_what_trl_extracts():
    chosen, rejected = [*ASKED, says("Hm."), *ASKED, says("Blue.")], [*ASKED, says("Hm."), *ASKED, says("Green.")]
    theirs = extract_prompt({"chosen": chosen, "rejected": rejected})
    ours = read(chosen, rejected, has_prompt=False)
    assert [{"role": r, "content": c} for r, c in ours.prompt] == theirs["prompt"]
    assert [says(ours.chosen)] == theirs["chosen"] and [says(ours.rejected)] == theirs["rejected"]


def test_a_text_prompt_beside_whole_conversations_is_verified_against_them():
    # The form of ultrafeedback_binarized.
    assert read([*ASKED, says("Blue.")], [*ASKED, says("Green.")], "Sky?").prompt == (("user", "Sky?"),)
    with pytest.raises(RecordError, match=r"^'prompt' is not a user message that 'chosen' and 'rejected' share$"):
        read([*ASKED, says("Blue.")], [*ASKED, says("Green.")], "Sea?")


def test_an_implicit_plain_prompt_ends_with_the_last_shared_turn_marker():
    start = "\n\nHuman: Sky?\n\nAssistant: Hm.\n\nHuman: Well?\n\nAssistant:"
    assert split_implicit(start + " Blue.", start + " Green.", MARKER) == (start, " Blue.", " Green.")


def test_where_completions_differ_from_their_first_letter_on_the_marker_and_trl_agree():
    start = "\n\nHuman: Sky?\n\nAssistant:"
    theirs = extract_prompt({"chosen": start + " Blue.", "rejected": start + " Green."})
    assert split_implicit(start + " Blue.", start + " Green.", MARKER) == tuple(theirs.values())
    assert split_implicit(start + " Blue.", start + " Green.", None) == tuple(theirs.values())


def test_where_completions_begin_alike_only_the_marker_keeps_them_whole():
    start = "\n\nHuman: You?\n\nAssistant:"
    assert split_implicit(start + " I have", start + " I hate", MARKER) == (start, " I have", " I hate")
    theirs = extract_prompt({"chosen": start + " I have", "rejected": start + " I hate"})
    assert split_implicit(start + " I have", start + " I hate", None) == tuple(theirs.values())
    assert theirs["chosen"] == "ve"


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "has_prompt", "reason", "detail"),
    [
        ("", "b", "p", True, "empty chosen", "'chosen' is empty"),
        ("a", " \n", "p", True, "empty rejected", "'rejected' is empty"),
        ("a", "b", "\t", True, "empty prompt", "'prompt' is empty"),
        ("a", None, "p", True, "no rejected", "'rejected' is missing or null"),
        (None, "b", "p", True, "no chosen", "'chosen' is missing or null"),
        ("a", "b", None, True, "no prompt", "'prompt' is missing or null"),
        ("a", "a", "p", True, "chosen is rejected", "'chosen' and 'rejected' are the same text"),
        ("a", 3, "p", True, "wrong type", "'rejected' is a number where a text is needed"),
        ({"text": "a"}, "b", "p", True, "wrong type", "'chosen' is an object where a text is needed"),
        ("a\ud800", "b", "p", True, "half a character", "'chosen' has a lone surrogate at character 2"),
        (
            "a",
            [says("b")],
            "p",
            True,
            "plain mixed with messages",
            "of 'chosen' and 'rejected' one is a text, one a list of messages",
        ),
        (
            "a",
            "b",
            ASKED,
            True,
            "plain mixed with messages",
            "'prompt' is a list of messages, 'chosen' and 'rejected' are texts",
        ),
        (
            [*ASKED, *ASKED],
            [*ASKED, says("b")],
            None,
            False,
            "last role not assistant",
            "'chosen' ends with a message of role 'user', not 'assistant'",
        ),
        (
            [*ASKED, says("a"), *ASKED, says("c")],
            [*ASKED, says("b")],
            None,
            False,
            "part before the last turn",
            "'chosen' has 3 messages after the prompt, not one",
        ),
        (
            [says("a")],
            [says("b")],
            None,
            False,
            "no shared prompt",
            "'chosen' and 'rejected' do not begin with one message",
        ),
        (
            [says("a")],
            [says("b")],
            [says("Hello.")],
            True,
            "prompt ends with assistant",
            "the last message of the prompt is the assistant's; nobody asks",
        ),
        ([], [says("b")], ASKED, True, "empty chosen", "'chosen' is an empty list"),
        ([says("")], [says("b")], ASKED, True, "empty chosen", "'chosen', message 1 is empty"),
        (
            [{"from": "gpt", "value": "a"}],
            [says("b")],
            ASKED,
            True,
            "wrong type",
            "'chosen', message 1: needs 'role' and 'content', found 'from', 'value'",
        ),
        (
            [{"role": "bot", "content": "a"}],
            [says("b")],
            ASKED,
            True,
            "unknown role",
            "'chosen', message 1: role 'bot', not one of system, developer, user, assistant, tool",
        ),
        (
            [{**says("a"), "tool_calls": [1]}],
            [says("b")],
            ASKED,
            True,
            "more than text",
            "'chosen', message 1: has 'tool_calls', which would be lost",
        ),
        (
            "Blue.",
            "Green.",
            None,
            False,
            "no shared prompt",
            r"'chosen' and 'rejected' do not begin with one prompt that ends with world.turn_marker '\n\nAssistant:'",
        ),
        (
            "Q\n\nAssistant: a\n\nHuman: c\n\nAssistant: d",
            "Q\n\nAssistant: b",
            None,
            False,
            "part before the last turn",
            "'chosen' goes on for more than one turn after the shared prompt",
        ),
        (
            "Q\n\nAssistant:",
            "Q\n\nAssistant: b",
            None,
            False,
            "empty chosen",
            "'chosen' is empty after the shared prompt",
        ),
    ],
)
def test_every_fault_names_its_field(chosen, rejected, prompt, has_prompt, reason, detail):
    with pytest.raises(RecordError) as caught:
        read(chosen, rejected, prompt, has_prompt)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)


def test_a_further_key_without_a_value_loses_nothing():
    # Parquet gives every message all keys that any message has.
    assert read([{**says("a"), "name": None}], [says("b")], ASKED).chosen == "a"


def test_num_shared_counts_the_common_beginning():
    assert [num_shared("abc", "abd"), num_shared("ab", "abc"), num_shared("", "a"), num_shared("x", "y")] == [
        2,
        2,
        0,
        0,
    ]
