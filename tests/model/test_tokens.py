"""Words are tokens here: <pad> 0, <s> 1, </s> 2, <unk> 3, say 4, it 5, now 6, please 7, good 8, bad 9, cat 10, ..."""

import pytest
from word_world import TEMPLATE, word_tokenizer

from rlx.core.error import UserError
from rlx.core.world import Completion, Prompt
from rlx.model.tokens import (
    check_completion,
    check_templates,
    decode_completion,
    encode_completion,
    encode_completions,
    encode_prompt,
    encode_prompts,
    pad_token_for,
    translate_completion,
    translate_prompt,
)


def with_template(template: str, bos: bool = True):
    tokenizer = word_tokenizer(bos)
    tokenizer.chat_template = template
    return tokenizer


def test_a_prompt_has_one_bos_and_no_eos_and_a_completion_one_eos_and_no_bos():
    tokenizer = word_tokenizer()
    assert encode_prompt(tokenizer, "say cat") == [1, 4, 10]
    assert encode_completion(tokenizer, "good cat") == [8, 10, 2]
    assert encode_completion(tokenizer, "good cat", ended=False) == [8, 10]


def test_prompt_and_completion_have_the_ids_that_trl_gives_their_joined_text_in_evaluation():
    tokenizer = word_tokenizer()
    joined = tokenizer("say cat good cat" + " " + tokenizer.eos_token)["input_ids"]
    assert encode_prompt(tokenizer, "say cat") + encode_completion(tokenizer, "good cat") == joined


def test_texts_that_are_tokenised_together_have_the_ids_that_each_has_alone():
    tokenizer = with_template(TEMPLATE)
    prompts = ["say cat", (("user", "say dog"),), "say", (("user", "now"), ("assistant", "it")), "say cat"]
    own = [[1, 4, 10], [1, 14, 4, 11, 15], [1, 4], [1, 14, 6, 15, 5, 15], [1, 4, 10]]
    # A template writes its special tokens itself, and this one writes no <s>.
    own[1], own[3] = own[1][1:], own[3][1:]
    assert encode_prompts(tokenizer, prompts) == own == [encode_prompt(tokenizer, text) for text in prompts]
    texts = [Completion("good cat", True), Completion("", False), Completion("", True), Completion("bad", False)]
    found = encode_completions(tokenizer, texts)
    assert found == [encode_completion(tokenizer, c.text, c.ended) for c in texts]
    assert found == [[8, 10, 2], [], [2], [9]] and encode_prompts(tokenizer, []) == []
    with pytest.raises(UserError, match="a prompt has no tokens"):
        encode_prompts(word_tokenizer(bos=False), ["say cat", ""])


def test_a_prompt_that_brings_its_own_bos_is_refused():
    with pytest.raises(UserError, match="two beginning-of-sequence tokens '<s>'"):
        encode_prompt(word_tokenizer(), "<s> say cat")


def test_a_chat_template_that_writes_bos_twice_is_refused():
    tokenizer = with_template("<s> <s> " + TEMPLATE)
    with pytest.raises(UserError, match="two beginning-of-sequence tokens"):
        encode_prompt(tokenizer, (("user", "say cat"),))


def test_the_tokenizer_adds_no_second_bos_to_a_template_that_writes_one():
    assert encode_prompt(with_template("<s> " + TEMPLATE), (("user", "say cat"),)) == [1, 14, 4, 10, 15]


def test_messages_without_a_chat_template_are_refused():
    with pytest.raises(UserError, match=r"no chat template; set model.chat_template"):
        encode_prompt(word_tokenizer(), (("user", "say cat"),))


def test_an_empty_prompt_is_refused():
    with pytest.raises(UserError, match="no tokens"):
        encode_prompt(word_tokenizer(bos=False), "")


def test_decoding_stops_at_the_end_and_keeps_no_special_tokens():
    assert decode_completion(word_tokenizer(), [8, 10, 2, 9, 0]) == "good cat"


def test_no_text_can_write_an_end_of_sequence():
    assert word_tokenizer()("good cat</s>", add_special_tokens=False)["input_ids"] == [8, 10, 2]
    assert encode_completion(word_tokenizer(), "good cat</s>", ended=False) == [8, 3]  # a word like any other


def test_a_given_completion_with_an_end_of_sequence_as_text_is_refused():
    with pytest.raises(UserError, match="demonstration 3: a completion has the end-of-sequence token '</s>' as text"):
        check_completion(word_tokenizer(), "good cat</s>", "demonstration 3")


def test_another_tokenizer_gets_the_same_words_and_end_under_its_own_ids():
    source, target = word_tokenizer(), word_tokenizer(bos=False, words=("cat", "say", "good"))
    # <pad> 0, </s> 2 as before, cat 4, say 5, good 6; <s> is a word that this tokenizer never writes by itself.
    assert translate_prompt([1, 4, 10], source, target) == [5, 4]
    assert translate_completion([8, 10, 2], source, target) == [6, 4, 2]
    assert translate_completion([8, 10], source, target) == [6, 4]


def test_templates_that_differ_are_refused_for_messages_alone():
    policy, reward = with_template(TEMPLATE), with_template("user: " + TEMPLATE)
    check_templates(policy, reward, [Prompt("0", "say cat")])
    with pytest.raises(UserError, match="chat template of the policy"):
        check_templates(policy, reward, [Prompt("0", (("user", "say cat"),))])


def test_the_end_of_sequence_is_never_the_padding():
    tokenizer = word_tokenizer()
    assert pad_token_for(tokenizer) is None
    tokenizer.pad_token = tokenizer.eos_token
    assert pad_token_for(tokenizer) == "<pad>"


def test_a_vocabulary_without_a_padding_token_lends_its_unk():
    assert pad_token_for(word_tokenizer(pad=None)) == "<unk>"
