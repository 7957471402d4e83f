import pytest

from rlx.core.secret import masked, secrets_in

TOKEN = "hf_" + "a1B2" * 9


def test_the_values_of_known_variables_and_what_looks_like_a_token_are_found_and_masked(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    config = {"a": ["x 0123456789abcdef y", {"b": 1}], "c": {"d": f"https://user:{TOKEN}@hub"}, "e": None}
    assert dict(secrets_in(config)) == {
        "a.0": "the value of WANDB_API_KEY",
        "c.d": "what looks like a token (hf_...)",
    }
    assert masked(config) == {"a": ["x *** y", {"b": 1}], "c": {"d": "https://user:***@hub"}, "e": None}
    assert masked(f"rlx train model.path={TOKEN}") == "rlx train model.path=***"


@pytest.mark.parametrize("value", ["", "short"])
def test_a_value_that_is_in_ordinary_words_hides_nothing(monkeypatch, value):
    monkeypatch.setenv("HF_TOKEN", value)
    assert not list(secrets_in({"a": "a short word"})) and masked("a short word") == "a short word"


def test_words_that_begin_like_tokens_are_none():
    assert not list(secrets_in({"a": "sk-learn", "b": "hf_hub", "c": "task-" + "x" * 40}))
