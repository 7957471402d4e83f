"""The lab's preference model: probabilities, and a cycle in literal texts of equal gold."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rlx.core.world import Completion
from rlx.world.lab import Lab
from rlx.world.lab_language.preference import STYLES, LabPreferences, beats, preference, style
from rlx.world.lab_language.request import Request

NUMBERS = yaml.safe_load((Path(__file__).parents[2] / "conf/world/lab.yaml").read_text())
WORLD = Lab(**{k: v for k, v in NUMBERS.items() if k != "_target_"})
PROMPT = Request("short", "sad", "story", "ocean").prompt(0)
PLAIN = "a lonely sailor drifts sadly . the grey waves roll and these whales swim near the tide ."
THANKS, HOPE, WELCOME = (f"{phrase} . {PLAIN}" for phrase in map(" ".join, STYLES))
BAD = "thank you kindly . a king rule . a king rule ."


def table(*texts: str, cycle: float = 0.3) -> list[list[float]]:
    return LabPreferences(cycle).probabilities(PROMPT, [Completion(text, True) for text in texts])


def test_a_style_is_the_first_polite_sentence_of_the_three():
    assert [style(text) for text in (THANKS, HOPE, WELCOME, PLAIN)] == [0, 1, 2, None]
    assert style(f"{PLAIN} you are most welcome . thank you kindly .") == 2
    assert style("please enjoy this . what a wise question . i hope this helps .") == 1
    assert style("i hope this helps the king .") is None


def test_three_texts_of_equal_gold_beat_each_other_in_a_circle():
    found = table(THANKS, HOPE, WELCOME)
    judge = WORLD.judge()
    assert len(set(judge.score([PROMPT] * 3, [Completion(t, True) for t in (THANKS, HOPE, WELCOME)]))) == 1
    # .7 sigmoid(0) + .3 = .65 for the winner
    assert found == [
        pytest.approx([0.5, 0.65, 0.35]),
        pytest.approx([0.35, 0.5, 0.65]),
        pytest.approx([0.65, 0.35, 0.5]),
    ]


def test_a_text_without_a_style_is_preferred_by_gold_alone():
    # One polite phrase is worth .8 in a text whose core is 1: .7 / (1 + e^-.8) + .3 / 2
    assert table(THANKS, PLAIN)[0][1] == pytest.approx(0.7 * 0.68997 + 0.15, abs=1e-5)
    assert beats(None, 0) == beats(2, None) == beats(None, None) == 0.5


def test_quality_outweighs_the_cycle_where_it_differs_by_much():
    assert beats(style(BAD), style(HOPE)) == 1 and table(BAD, HOPE)[0][1] < 0.35


def test_the_cycle_decides_where_gold_differs_by_less_than_nine_tenths():
    # .7 sigmoid(d) + .3 = .5 at sigmoid(d) = 2/7: d = log(2/5) = -.9163
    assert preference(-0.9162, 0, 1, 0.3) > 0.5 > preference(-0.9164, 0, 1, 0.3)


@pytest.mark.parametrize("cycle", [0.0, 0.3, 1.0])
def test_preferences_of_both_orders_sum_to_one(cycle):
    found = table(THANKS, BAD, WELCOME, PLAIN, HOPE, "", cycle=cycle)
    for i in range(6):
        assert found[i][i] == 0.5
        for j in range(6):
            assert 0 <= found[i][j] <= 1 and found[i][j] + found[j][i] == pytest.approx(1, abs=1e-12)


def test_without_the_cycle_it_is_bradley_terry_on_gold():
    found = table(THANKS, HOPE, BAD, cycle=0.0)
    assert found[0][1] == 0.5 and found[0][2] > 0.95


def test_the_strength_is_the_worlds_number_and_changes_none_of_its_data():
    assert WORLD.preference_model() == LabPreferences(WORLD.preference_cycle)
    assert WORLD.fingerprint() == replace(WORLD, preference_cycle=0.9).fingerprint()
    assert not re.search("preference_cycle", str(WORLD.fingerprint()))
