"""Two runs matched by prompt id: win rate, gold, lengths, and what keeps them from being compared."""

import numpy as np
import pytest

from rlx.comparison.pair import matched, versus
from rlx.core.error import UserError


def row(pid: str, gold: float, length: int = 5, start: float = 0.0, prompt: str = "") -> dict:
    return {
        "prompt_id": pid, "prompt": prompt or f"say {pid}", "completion": "a b", "gold": gold, "proxy": gold,
        "length": length, "start_gold": start,
    }  # fmt: skip


def test_rows_are_matched_by_prompt_id_whatever_their_order():
    first = {pid: row(pid, i) for i, pid in enumerate("abcd")}
    second = {pid: row(pid, 10 * i) for i, pid in enumerate("dcbx")}
    assert [(one["prompt_id"], other["prompt_id"]) for one, other in matched(first, second)] == [
        ("b", "b"),
        ("c", "c"),
        ("d", "d"),
    ]


def test_fewer_than_two_common_prompts_and_one_id_with_two_texts_are_refused():
    first = {pid: row(pid, 0) for pid in "ab"}
    with pytest.raises(UserError, match="1 held-out prompts in common"):
        matched(first, {pid: row(pid, 0) for pid in "bc"})
    with pytest.raises(UserError, match="prompt b has another text"):
        matched(first, {"a": row("a", 0), "b": row("b", 0, prompt="another")})


def test_win_rate_and_gold_are_those_counted_by_hand():
    # Wins, a tie, a loss: 2.5 of 4. Gold 1 + 2 + 0 - 1 over 4, in units of the second's start, whose SD is 2.
    start = [-(6**0.5), 6**0.5, 0.0, 0.0]
    pairs = [
        (row(str(i), a), row(str(i), b, start=s))
        for i, (a, b, s) in enumerate(zip([2, 3, 1, 0], [1, 1, 1, 1], start, strict=True))
    ]
    found = versus(pairs, with_proxy=True)
    assert found.win_rate[0] == 0.625
    assert found.gold[0] == pytest.approx(0.5 / 2) and found.unit == "SD"
    assert found.proxy is not None and found.proxy[0] == 0.5
    assert found.win_rate_length_controlled is None  # of 4 prompts


def test_swapping_the_runs_turns_the_win_rate_and_the_difference_round():
    rng = np.random.default_rng(0)
    first, second = ([row(str(i), x, int(n)) for i, (x, n) in enumerate(zip(g, rng.integers(3, 30, 64), strict=True))]
                     for g in (rng.normal(0.5, 1, 64), rng.normal(0, 1, 64)))  # fmt: skip
    there = versus(list(zip(first, second, strict=True)), with_proxy=False)
    back = versus(list(zip(second, first, strict=True)), with_proxy=False)
    assert back.win_rate[0] == pytest.approx(1 - there.win_rate[0])
    assert np.allclose(back.gold, [-there.gold[0], -there.gold[2], -there.gold[1]], atol=0.02)  # bootstrap's own noise
    one, other = there.win_rate_length_controlled, back.win_rate_length_controlled
    assert one is not None and other is not None and other[0] == pytest.approx(1 - one[0], abs=1e-4)
    assert there.lengths == back.lengths[::-1] and there.proxy is None


def test_the_interval_holds_zero_in_most_comparisons_of_equals():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(30):
        shared = rng.normal(0, 2, 24)
        pairs = [(row(str(i), s + a), row(str(i), s + b)) for i, (s, a, b) in enumerate(
            zip(shared, rng.normal(0, 1, 24), rng.normal(0, 1, 24), strict=True))]  # fmt: skip
        _, low, high = versus(pairs, with_proxy=False).gold
        held += low <= 0 <= high
        assert high - low < 2.0  # paired: the prompts' own spread of 2 is taken out
    assert held >= 25
