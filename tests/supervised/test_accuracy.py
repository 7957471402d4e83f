import numpy as np
import pytest
from scipy import stats

from rlx.core.world import Completion, Prompt
from rlx.supervised.accuracy import clustered_error, credit, difference, judged, lengths, share
from rlx.supervised.pairs import Preference


def pair(prompt: str, chosen: str, rejected: str) -> Preference:
    return Preference(Prompt(prompt, prompt), Completion(chosen, True), Completion(rejected, True))


def simulated(rng, prompts: int, each: int) -> tuple[np.ndarray, list[str]]:
    """Pairs whose prompts are easy or hard for a judge that is right in .7 of all."""
    right_P = rng.beta(1.4, 0.6, prompts)
    return (rng.random((prompts, each)) < right_P[:, None]).astype(float).ravel(), [
        str(p) for p in range(prompts) for _ in range(each)
    ]


def test_a_tie_is_half_right():
    assert credit([2.0, 1.0, 1.0], [1.0, 2.0, 1.0]).tolist() == [1, 0, 0.5]


def test_with_one_pair_per_prompt_the_error_is_that_of_a_mean():
    values = np.array([1.0, 0.0, 0.5, 1.0, 1.0])
    error, count = clustered_error(values, list("abcde"))
    assert count == 5 and error == pytest.approx(stats.sem(values))


def test_pairs_of_one_prompt_that_agree_count_once():
    values, prompts = np.repeat([1.0, 0.0, 1.0, 1.0], 7), list(np.repeat(list("abcd"), 7))
    assert clustered_error(values, prompts)[0] == pytest.approx(stats.sem([1.0, 0.0, 1.0, 1.0]))


def test_intervals_hold_the_truth_in_95_of_100_where_prompts_share_pairs():
    rng = np.random.default_rng(0)
    inside, naive = [], []
    for _ in range(1000):
        found = share(*simulated(rng, 20, 6))
        assert found is not None and found.low is not None and found.high is not None
        inside.append(found.low <= 0.7 <= found.high)
        half = 1.96 * np.sqrt(found.value * (1 - found.value) / 120)
        naive.append(abs(found.value - 0.7) <= half)
    assert 0.93 <= np.mean(inside) <= 0.975
    assert np.mean(naive) < 0.87  # what pairs as the unit would claim


def test_a_judge_that_is_always_right_on_few_prompts_may_be_wrong_on_others():
    found = share(np.ones(8), list("abcdefgh"))
    assert found is not None and found.high == 1 and found.low is not None and 0.5 < found.low < 0.7


def test_one_prompt_has_no_interval():
    found = share(np.array([1.0, 0.0]), ["a", "a"])
    assert found is not None and (found.value, found.error, found.low, found.high) == (0.5, None, None, None)
    assert share(np.array([]), []) is None and difference(np.array([]), np.array([]), []) is None


def test_a_difference_is_of_the_same_pairs():
    good, bad = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0])
    found = difference(good, bad, list("abcd"))
    test = stats.ttest_1samp(good - bad, 0).confidence_interval(0.95)
    assert found is not None and found.value == 0.5
    assert (found.low, found.high) == (pytest.approx(test.low), pytest.approx(test.high))
    none = difference(good, good, list("abcd"))
    assert none is not None and (none.value, none.low, none.high) == (0, 0, 0)


def test_a_row_says_how_often_a_judge_is_right_and_how_much_more_often_than_the_longer_one():
    heldout = [pair("a", "long text", "text"), pair("b", "x", "long"), pair("c", "ab", "ba")]
    row = judged("oracle", {"heldout": heldout, "train_flipped": []}, lambda pairs: ([1] * 3, [0] * 3))
    assert row["accuracy"] == {"heldout": 1.0} and row["pairs_measured"] == {"heldout": 3}
    assert row["over_longer"]["value"] == 0.5 and row["heldout_prompts"] == 3  # the longer one: 1, 0, 1/2
    longer = judged("longer", {"heldout": heldout}, lengths)
    assert longer["accuracy"]["heldout"] == 0.5 and longer["over_longer"]["value"] == 0
