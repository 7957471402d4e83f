import dataclasses
import math

import numpy as np
import pytest

from rlx.reporting.evidence import CutOff, Estimate, Evidence, LengthControlled
from rlx.reporting.verdict import bounds, number, percent, size, verdict

UP, FLAT, DOWN = Estimate(0.62, 0.5, 0.74), Estimate(0.05, -0.08, 0.18), Estimate(-0.4, -0.6, -0.2)
WINS, COIN, LOSES = Estimate(0.68, 0.61, 0.74), Estimate(0.52, 0.45, 0.58), Estimate(0.3, 0.2, 0.4)
RISEN = Estimate(1.9, 1.7, 2.1)
FINE = Evidence(
    finished=True, best_of_n=False, step=80, num_steps=80, num_prompts=256, gold=UP, proxy=RISEN, win_rate=WINS, peak_step=80,
    since_peak_gold=None, since_peak_proxy=None,
)  # fmt: skip


def judged(**changes):
    return verdict(dataclasses.replace(FINE, **changes))


def test_a_gain_whose_intervals_exclude_no_change_is_better():
    result = judged()
    assert (result.headline, result.tone) == ("Better than the start", "better")
    assert result.sentences[0] == "Gold +0.62 SD [0.50, 0.74] against the start over 256 held-out prompts."
    assert result.sentences[1] == "It wins 68 % [61, 74] of prompts against the start, by gold."
    assert "no over-optimisation so far" in result.sentences[3]


def test_intervals_that_hold_no_change_are_not_distinguishable_whatever_their_middle():
    result = judged(gold=FLAT, win_rate=COIN)
    assert (result.headline, result.tone) == ("Not distinguishable from the start", "unclear")
    assert result.sentences[0].endswith("not distinguishable from no change.")
    assert result.sentences[1].endswith("not distinguishable from a coin.")


def test_a_fall_from_the_peak_while_the_proxy_rose_is_over_optimisation():
    result = judged(peak_step=60, since_peak_gold=Estimate(-0.3, -0.5, -0.1), since_peak_proxy=Estimate(0.4, 0.2, 0.6))
    assert (result.headline, result.tone) == ("Better than the start, but over-optimised", "caution")
    assert result.sentences[3] == (
        "Gold was highest at step 60 and has fallen by 0.30 SD [0.10, 0.50] since, "
        "while the proxy rose by 0.40 SD [0.20, 0.60]: over-optimisation."
    )


def test_many_answers_that_the_length_limit_cuts_off_are_told_and_few_are_not():
    said = judged(cut_off=CutOff(0.6, 0.75, 48)).sentences
    assert said[2] == (
        "The length limit of 48 tokens cuts off 60 % of its answers and 75 % of the start's: gold judges beginnings, and a "
        "difference in length does not show. A higher world.max_completion_tokens lets them end."
    )
    assert any("cuts off 2 %" in sentence for sentence in judged(cut_off=CutOff(0.02, 0.4, None)).sentences)
    assert (
        judged(cut_off=CutOff(0.4, 0.0, 48))
        .sentences[2]
        .endswith(
            "40 % of its answers and 0 % of the start's: it writes longer answers than the start, or no longer ends them."
        )
    )
    assert judged(cut_off=CutOff(0.2, 0.1, 48)).sentences == judged().sentences


def test_a_gold_that_guesses_bears_no_claim():
    result = judged(gold_guesses=True)
    assert result.headline == "Better than the start, by a gold that is not distinguishable from chance"
    assert result.tone == "unclear"
    unmoved = judged(gold_guesses=True, gold=FLAT, win_rate=COIN)
    assert unmoved.headline == "Not distinguishable from the start"


def test_a_fall_within_the_noise_is_not_called_one():
    result = judged(peak_step=60, since_peak_gold=Estimate(-0.3, -0.61, 0.01), since_peak_proxy=Estimate(0.4, 0.2, 0.6))
    assert result.headline == "Better than the start"
    assert result.sentences[3].endswith("no over-optimisation is shown.")


@pytest.mark.parametrize(
    "proxy", [None, Estimate(0.1, -0.1, 0.3), Estimate(0.4, None, None), Estimate(-0.4, -0.6, -0.2)]
)
def test_a_fall_without_a_rise_of_the_proxy_is_not_blamed_on_it(proxy):
    result = judged(peak_step=60, since_peak_gold=Estimate(-0.3, -0.5, -0.1), since_peak_proxy=proxy)
    assert "over-optimised" not in result.headline
    assert "not shown to be over-optimisation" in result.sentences[3]


def test_a_proxy_that_rises_from_a_start_that_gold_never_leaves_upwards_is_over_optimisation():
    result = judged(gold=DOWN, win_rate=LOSES, peak_step=0, since_peak_gold=DOWN, since_peak_proxy=RISEN)
    assert (result.headline, result.tone) == ("Worse than the start, and over-optimised", "worse")
    assert result.sentences[3].startswith("Gold was never above the start and has fallen by 0.40 SD [0.20, 0.60]")


def test_a_claim_that_one_number_bears_alone_says_which():
    assert judged(win_rate=COIN).headline == "Better than the start on average, not distinguishable prompt by prompt"
    assert judged(gold=FLAT).headline == "Better than the start more often than not, not distinguishable on average"
    assert judged(gold=FLAT).tone == "unclear"
    assert judged(win_rate=LOSES).headline.startswith("Mixed")


def test_no_interval_no_claim():
    result = judged(gold=Estimate(5.0, None, None), win_rate=None)
    assert result.tone == "unclear"
    assert "+5.00 SD (no interval)" in result.sentences[0]


def test_an_unfinished_run_is_judged_so_far():
    assert judged(finished=False, step=30).headline == "So far (step 30 of 80): better than the start"


def test_nothing_measured_nothing_said():
    assert verdict(None).headline == "Nothing can be said yet"
    assert judged(gold=None, win_rate=None).tone == "unclear"


def test_no_combination_of_estimates_claims_what_its_interval_does_not_exclude():
    for gold in (None, UP, FLAT, DOWN):
        for won in (None, WINS, COIN, LOSES):
            tone = judged(gold=gold, win_rate=won).tone
            assert tone != "better" or gold is UP
            assert tone != "worse" or gold is DOWN


def test_numbers_are_printed_with_a_real_minus_and_never_as_minus_zero():
    assert (number(-0.301), number(-0.001), number(0.0, plus=True)) == ("−0.30", "0.00", "+0.00")
    assert size(DOWN) == "0.40 SD [0.20, 0.60]"
    assert percent(Estimate(0.5, None, None)) == "50 %"


def test_best_of_n_is_judged_along_n():
    along = {"best_of_n": True, "step": 256, "num_steps": 256}
    story = judged(**along, peak_step=16, since_peak_gold=DOWN, since_peak_proxy=RISEN).sentences[3]
    assert story == (
        "Gold was highest at the best of 16 and has fallen by 0.40 SD [0.20, 0.60] up to the best of 256, "
        "while the proxy rose by 1.90 SD [1.70, 2.10]: over-optimisation."
    )
    assert "Gold is highest at the best of 256" in judged(**along, peak_step=256).sentences[3]
    assert judged(**along, finished=False, peak_step=256).headline == "So far: better than the start"


def test_it_says_how_much_of_the_gain_remains_at_equal_length():
    length = LengthControlled(12.34, 0.8, Estimate(0.31, 0.1, 0.52), Estimate(0.61, 0.52, 0.69))
    result = judged(length=length)
    assert (result.headline, result.tone) == ("Better than the start", "better")
    assert result.sentences[2] == (
        "Is the gain length? Answers are 12.34 tokens longer than the start's on average. With the difference in length "
        "taken out, gold's gain is +0.31 SD [0.10, 0.52], 50 % of it, and the win rate 61 % [52, 69]."
    )


def test_a_gain_that_vanishes_at_equal_length_is_a_caution():
    length = LengthControlled(12.0, 0.8, Estimate(0.1, -0.1, 0.3), COIN)
    result = judged(length=length)
    assert (result.headline, result.tone) == ("Better than the start, which length may explain", "caution")
    assert result.sentences[2].endswith("not distinguishable from no change, so length may be the whole gain.")
    unsure = judged(length=length, gold=FLAT, win_rate=COIN)
    assert unsure.headline == "Not distinguishable from the start" and "whole" not in unsure.sentences[2]
    assert unsure.sentences[2].startswith("Answers are 12.00 tokens longer")  # of what is not shown nobody asks why


def test_a_loss_may_be_length_too_and_an_equal_length_nobody_wrote_is_an_extrapolation():
    length = LengthControlled(-12.0, 0.01, Estimate(0.1, -0.1, 0.3), None)
    result = judged(gold=DOWN, win_rate=LOSES, length=length)
    assert (result.headline, result.tone) == ("Worse than the start", "worse")
    assert "Is the loss length? Answers are 12.00 tokens shorter" in result.sentences[2]
    assert "length may be the whole loss. Nearly every answer is shorter" in result.sentences[2]
    assert "%" not in result.sentences[2]


@pytest.mark.parametrize("finished, setting", [(True, "final_num_prompts"), (False, "num_prompts")])
def test_fewer_than_32_prompts_allow_no_verdict_and_the_headline_names_the_setting(finished, setting):
    result = judged(num_prompts=16, finished=finished)
    assert (
        "oo few prompts for a verdict: 16 of at least 32" in result.headline
        and f"evaluation.{setting})" in result.headline
    )
    assert result.tone == "unclear"
    assert "Too few" not in judged(num_prompts=32).headline


def test_a_policy_that_hardly_moved_is_said_to_have_and_gold_beyond_its_kl_is_chance():
    # c = 1.96 sqrt(2 / 256) = .1732; sqrt(K) = (.1732 + sqrt(.03 + .056)) / 2 = .2333: K = .0544, sqrt(2 K) = .33
    result = judged(kl=0.014)
    assert result.headline == "Better than the start by more than so small a KL allows: measure on more prompts"
    assert "0.014 nats, 0.054 at most" in result.sentences[1] and "about 0.33 SD; what gold" in result.sentences[1]
    small = judged(kl=0.014, gold=Estimate(0.22, 0.02, 0.42))
    assert small.headline == "Better than the start" and small.sentences[1].endswith("about 0.33 SD.")
    assert judged(kl=4.0).headline == "Better than the start" and "hardly moved" not in " ".join(
        judged(kl=4.0).sentences
    )


def test_the_highest_kl_holds_the_true_one():
    rng, K, B = np.random.default_rng(0), 0.05, 64
    found = rng.normal(K, math.sqrt(2 * K), size=(4000, B)).mean(1)
    held = np.mean([dataclasses.replace(FINE, kl=float(kl), num_prompts=B).highest_kl > K for kl in found])
    assert 0.965 < held < 0.985


def test_large_numbers_and_their_bounds_are_written_alike():
    assert (number(9516.4), number(-2633.92, plus=True), bounds(2633.92, 16397.79)) == (
        "9,516",
        "−2,634",
        " [2,634, 16,398]",
    )
