import numpy as np
import pytest

from rlx.comparison.other_gold import judged_again, measured
from rlx.core.error import UserError


class Words:
    """Gold is the number of words, and of the prompt's first message where it is one."""

    def score(self, prompts, completions):
        assert all(prompt.text in ("p", (("user", "p"),)) for prompt in prompts)
        return [float(len(completion.text.split())) for completion in completions]

    def factors(self, prompts, completions):
        return [{} for _ in completions]


def row(number, text, start, gold=0.0, start_gold=0.0, prompt="p"):
    completion = {"completion": text, "ended": True, "length": len(text), "gold": gold}
    before = {"start_completion": start, "start_ended": True, "start_length": len(start), "start_gold": start_gold}
    return {"prompt_id": str(number), "prompt": prompt} | completion | before


ROWS = [
    row(0, "a b c", "a", gold=1.0),
    row(1, "a b", "a b", gold=0.0, prompt=[["user", "p"]]),
    row(2, "a b", "a b c", gold=-1.0),
    row(3, "a b c d", "a b", gold=2.0),
]


def test_another_judge_reads_the_stored_texts_and_its_scores_replace_gold():
    pairs = judged_again(ROWS, Words())
    assert [(one["gold"], start["gold"]) for one, start in pairs] == [(3, 1), (2, 2), (2, 3), (4, 2)]


def test_its_metrics_are_those_of_the_policy_against_the_start():
    metrics = measured(ROWS, Words())
    assert metrics["gold/score"] == 11 / 4 and metrics["gold/start_score"] == 2
    assert metrics["gold/win_rate"] == 2.5 / 4 and metrics["evaluation/num_prompts"] == 4
    assert metrics["gold/score_sd_units"] == pytest.approx(0.75 / (2 / 3) ** 0.5)
    assert metrics["gold/score_sd_units_low"] < metrics["gold/score_sd_units"] < metrics["gold/score_sd_units_high"]
    assert metrics["gold/own_gold_correlation"] == pytest.approx(np.corrcoef([2, 0, -1, 2], [1, 0, -1, 2])[0, 1])
    assert "gold/win_rate_length_controlled" not in metrics  # below 8 prompts


def test_samples_of_an_older_version_and_too_few_are_refused():
    older = [{name: value for name, value in one.items() if name != "start_completion"} for one in ROWS]
    with pytest.raises(UserError, match="sample 0 has no completion of the start"):
        measured(older, Words())
    with pytest.raises(UserError, match="at least 2"):
        measured(ROWS[:1], Words())
