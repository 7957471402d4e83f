"""Runs become differences: as they are, at the same strength, and with what is lacking said."""

import dataclasses

import numpy as np
import pytest
import yaml
from synthetic_run import write_run

from rlx.command.check import checked_claim
from rlx.comparison.claim import Points, judge, matched_difference
from rlx.comparison.measure import MEASURES
from rlx.core.claim import Match
from rlx.run.record import load_record

DECLARED = """
title: a − b
says: a has more gold than b.
source: {paper: "0000.00000", place: table 1, number: "2 %"}
common: optimizer=bon
arms: {a: reward=warm, b: reward=single, judge: reward=gold}
contrast: [a, b]
measure: gold
expect: more
smallest_effect: 0.1
match: null
needs: [{arm: judge, measure: gold, least: 1.0, why: there is no headroom}]
seeds: {choose: [], report: [0, 1, 2, 3]}
chosen: nothing
quick: {report: [0, 1], words: num_steps=11}
budget: 1
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(write_run(tmp_path_factory.mktemp("run") / "one", num_prompts=8, num_samples=2))


def claim(**changes):
    return dataclasses.replace(checked_claim(yaml.safe_load(DECLARED)), **changes)


def runs(record, **arms):
    """Arm -> seed -> a run with that gold; or one for each pair of KL and gold in a list."""

    def one(kl, gold):
        return dataclasses.replace(record, summary={"gold/score_sd_units": gold, "objective/kl_start": kl})

    return {
        arm: {
            seed: [one(*pair) for pair in values] if isinstance(values, list) else [one(1.0, values)]
            for seed, values in by_seed.items()
        }
        for arm, by_seed in arms.items()
    }


def test_differences_are_paired_by_data_seed(record):
    of = runs(record, a={0: 1.5, 1: 2.5, 2: 1.0}, b={0: 1.0, 1: 1.8, 2: 0.7}, judge={0: 2.0, 1: 2.0, 2: 2.2})
    found = judge(claim(), of, [0, 1, 2, 3])
    assert [unit.difference for unit in found.units] == pytest.approx([0.5, 0.7, 0.3])
    assert found.lacking == ["data seed 3: no finished run of a"]
    assert found.verdict.word == "holds" and found.verdict.num == 3
    (need,) = found.needs
    assert need.met and need.value == pytest.approx(2.0667, abs=1e-3)


def test_a_claim_without_headroom_is_not_testable(record):
    of = runs(record, a={0: 1.5, 1: 2.5, 2: 1.0}, b={0: 1.0, 1: 1.8, 2: 0.7}, judge={0: 0.2, 1: 0.1})
    found = judge(claim(), of, [0, 1, 2])
    assert found.verdict.word == "not testable here" and found.verdict.why == "there is no headroom"
    assert found.verdict.low is not None  # the numbers stay


def test_lines_are_compared_over_the_range_that_both_cover():
    first = Points(np.array([1.0, 3.0]), np.array([1.0, 3.0]))  # y = x
    second = Points(np.array([2.0, 5.0]), np.array([0.0, 3.0]))  # y = x - 2
    one, other, low, high = matched_difference(first, second)
    assert (low, high) == (2.0, 3.0)
    assert one == pytest.approx(2.5) and other == pytest.approx(0.5)
    assert matched_difference(first, Points(np.array([3.0, 5.0]), np.array([0.0, 1.0]))) is None


def test_a_matched_claim_reads_gold_at_the_same_root_of_kl(record):
    match = Match("regularizer.beta", {"a": [0.1, 0.2], "b": [0.1, 0.2]}, "kl")
    lines = {seed: [(4.0, 1.0), (1.0, 0.5)] for seed in (0, 1, 2)}  # at sqrt(KL) 2 and 1, unsorted
    higher = {0: [(1.0, 0.8), (4.0, 1.4)], 1: [(1.0, 0.7), (4.0, 1.2)], 2: [(9.0, 3.0), (16.0, 4.0)]}
    found = judge(claim(match=match, needs=[]), runs(record, a=higher, b=lines), [0, 1, 2])
    assert [unit.seed for unit in found.units] == [0, 1]
    assert found.units[0].difference == pytest.approx(0.35) and (found.units[0].low, found.units[0].high) == (1.0, 2.0)
    assert found.lacking == ["data seed 2: no strength that both arms reach (a 3.00 to 4.00; b 1.00 to 2.00)"]
    assert found.verdict.word == "too few runs"


def test_every_measure_reads_a_number_of_a_run_that_has_it(record):
    judges = [{"kind": "warm", "accuracy": {"heldout": 0.7, "train_flipped": 0.3}}]
    one = dataclasses.replace(record, judges=judges)
    found = {name: read(one) for name, (_, read) in MEASURES.items()}
    assert found["accuracy"] == 0.7 and found["memorised"] == 0.3  # of WARM's model, not of its members
    assert None not in found.values()
    assert found["fall"] > 0 and found["kl"] == record.summary["objective/kl_start"]
    single = dataclasses.replace(one, config={**record.config, "reward": {"_target_": "rlx.reward.single.Single"}})
    assert MEASURES["accuracy"][1](single) == record.members[0]["accuracy"]["heldout"]
    bare = dataclasses.replace(one, summary={}, members=[], judges=[], heldout=[])
    assert [read(bare) for _, read in MEASURES.values()] == [None] * len(MEASURES)
