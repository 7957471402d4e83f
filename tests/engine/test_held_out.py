from typing import Any

import pytest
from word_world import GoodWords

from rlx.core.error import UserError
from rlx.core.world import Completion, Prompt
from rlx.engine.held_out import finite_gold

PROMPTS = [Prompt(f"p{i}", "ask") for i in range(3)]
COMPLETIONS = [Completion("good", True), Completion("bad", True), Completion("good good", False)]


class Broken(GoodWords):
    def score(self, prompts: Any, completions: Any) -> list[float]:
        return [1.0, float("nan"), float("-inf")][: len(prompts)]


def test_scores_that_are_numbers_pass():
    assert list(finite_gold(GoodWords(), PROMPTS, COMPLETIONS)) == list(GoodWords().score(PROMPTS, COMPLETIONS))


def test_a_gold_that_is_no_number_ends_the_measurement_with_the_prompt_and_how_many():
    with pytest.raises(UserError, match=r"gold scores 2 of 3 completions as no number \(the first is of prompt p1\)"):
        finite_gold(Broken(), PROMPTS, COMPLETIONS)
