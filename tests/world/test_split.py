import pytest

from rlx.world.split import point, prompt_id, prompt_key, share_of


def test_prompts_that_differ_in_white_space_case_or_composition_have_one_key():
    assert prompt_key("  What\tis\n it? ") == prompt_key("what is it?")
    assert prompt_key("Caf\u00e9") == prompt_key("Cafe\u0301")
    assert prompt_key((("user", " Hi "),)) == prompt_key((("user", "hi"),)) != prompt_key((("system", "hi"),))
    assert prompt_key("what is it") != prompt_key("what is it?")


def test_ids_tell_exact_prompts_apart():
    assert prompt_id("Hi") != prompt_id("hi") and len(prompt_id("Hi")) == 16


def test_points_are_uniform_and_the_same_on_every_machine():
    # The first 16 digits of `printf 'split\x1f0\x1fwhat is it?' | sha256sum`, over 2^64.
    assert point("split", 0, "what is it?") == 0xF03234EF5BCFDA29 / 2**64
    points = [point("split", 0, str(i)) for i in range(10_000)]
    # The mean of 10,000 uniform points has standard deviation 1 / sqrt(12 * 10000) = 0.0029.
    assert sum(points) / 10_000 == pytest.approx(0.5, abs=0.009)


def test_shares_lie_end_to_end_and_the_rest_is_beyond_them():
    shares = [("a", 0.25), ("b", 0.5)]
    assert [share_of(at, shares, "rest") for at in (0.0, 0.249, 0.25, 0.749, 0.75, 0.999)] == [
        "a",
        "a",
        "b",
        "b",
        "rest",
        "rest",
    ]
    assert share_of(0.0, [("a", 0.0)], "rest") == "rest"
