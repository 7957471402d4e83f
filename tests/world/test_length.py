from rlx.core.world import Demonstration, Pair, Prompt
from rlx.world.length import LengthLimit


def words(text):
    return len(text.split())


def limit():
    return LengthLimit(2, 3, words, words)


def prompt(text):
    return Prompt(text, text)


def test_what_is_as_long_as_the_limit_stays_and_one_more_is_left_out_and_counted():
    assert limit().prompts([prompt("a b"), prompt("a b c")]) == ([prompt("a b")], {"prompts over 2 tokens": 1})


def test_a_pair_goes_with_the_longer_of_its_completions():
    pairs = [Pair(prompt("a"), "1 2 3", "1"), Pair(prompt("a"), "1 2 3 4", "1"), Pair(prompt("a"), "1", "1 2 3 4")]
    assert limit().pairs(pairs) == (pairs[:1], {"pairs over 2+3 tokens": 2})


def test_nothing_is_said_where_nothing_is_left_out():
    demonstrations = [Demonstration(prompt("a"), "1")]
    assert limit().demonstrations(demonstrations) == (demonstrations, {})


def test_each_distinct_text_is_counted_once():
    counted = []
    once = LengthLimit(9, 9, lambda text: counted.append(text) or 1, lambda text: counted.append(text) or 1)
    once.pairs([Pair(prompt("a"), "x", "y"), Pair(prompt("a"), "x", "z")])
    assert sorted(counted) == ["a", "x", "y", "z"]
