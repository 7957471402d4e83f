"""Decoders over data seeds: rows in order, both ways of counting the gap, and refusals."""

import numpy as np
import pytest

from rlx.comparison.decoders import BASE, CEILING, between, mean_alphas, rows_of


def measured(fused=(4.0, 4.5, 4.2, 4.4), ceiling=(5.0, 5.5, 5.1, 5.3), base=(1.0, 1.2, 0.9, 1.1)):
    found = []
    for seed, (f, c, b) in enumerate(zip(fused, ceiling, base, strict=True)):
        metrics = {"gold/start_score": b, "decoder/model_gold": c, "decoder/expert_gold_0": 3.0 + 0.1 * seed}
        for decoder, gold in (("decoder=proxy", f - 1), ("decoder=fusion", f)):
            one = {"seeds": (seed, seed), "decoder": decoder, "experts": ["small"]}
            found.append(one | {"metrics": metrics | {"gold/score": gold}})
    return found


def test_rows_go_from_the_untuned_policy_to_the_one_tuned_directly():
    rows = rows_of(measured())
    assert [row.name for row in rows] == [BASE, "expert alone: small", "decoder=proxy", "decoder=fusion", CEILING]
    assert [row.gold.num for row in rows] == [4] * 5


def test_the_gap_is_counted_both_ways():
    fusion = rows_of(measured())[3]
    assert fusion.closed.value == pytest.approx((4.275 - 1.05) / (5.225 - 1.05))
    assert fusion.of_ceiling.value == pytest.approx(4.275 / 5.225)
    assert fusion.closed.low < fusion.closed.value < fusion.closed.high
    assert fusion.over_base.value == pytest.approx(4.275 - 1.05)
    assert fusion.over_experts.value == pytest.approx(4.275 - 3.15) and fusion.over_experts.distinguishable


def test_decoders_are_compared_with_each_other_pair_by_pair():
    ((one, other, found),) = between(rows_of(measured(fused=(4.0, 4.6, 4.1, 4.4))))
    assert (one, other) == ("decoder=fusion", "decoder=proxy") and found.value == pytest.approx(1.0) and found.num == 4


def test_no_gap_no_share_of_it():
    fusion = rows_of(measured(ceiling=(0.8, 1.5, 1.0, 1.2)))[3]
    assert fusion.closed.value is None and "ceiling - base includes 0" in fusion.closed.refused
    assert fusion.of_ceiling.value is not None


def test_a_run_without_completions_of_its_trained_policy_has_no_ceiling():
    found = measured()
    found[0]["metrics"].pop("decoder/model_gold")
    found[1]["metrics"].pop("decoder/model_gold")
    with pytest.raises(ValueError, match="kept no completions"):
        rows_of(found)


def test_alpha_along_texts_of_unequal_length():
    along, counts, shares = mean_alphas([[[0.0, 1.0, 2.0]], [[1.0, 1.0]], [[0.5]]])
    assert counts.tolist() == [3, 2, 1] and np.allclose(along[3], [0.5, 1.0, 2.0])
    assert np.allclose(shares, [[0, 1 / 6], [0.5, 1 / 6], [1, 3 / 6], [2, 1 / 6]])


def test_several_experts_count_together():
    along, _, _ = mean_alphas([[[0.0, 1.0], [0.4, 0.0]]])
    assert np.allclose(along[3], [0.4, 1.0])
