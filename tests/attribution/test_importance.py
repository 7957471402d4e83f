import math

import numpy as np
import pytest
import torch

from rlx.attribution.importance import (
    divergence,
    importance,
    in_reverse,
    mean_divergence,
    mean_tau,
    ordered_alike,
    primary,
    share_errors,
    shares,
    tau,
)
from rlx.attribution.shapley import shapley


def some_phi():
    return torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor(
        [3, 1, 2, 0.1]
    )


def test_importance_is_the_mean_absolute_attribution():
    assert importance(torch.tensor([[1.0, -2.0], [-3.0, 0.0]])).tolist() == [2.0, 1.0]


def test_shares_sum_to_one_and_do_not_depend_on_the_scores_unit():
    p_G = shares(importance(some_phi()), 1e-3)
    assert float(p_G.sum()) == pytest.approx(1, abs=1e-12) and (p_G > 0).all()
    for c in (1e-6, 7.0, 1e6):
        torch.testing.assert_close(shares(importance(c * some_phi()), 1e-3), p_G, atol=1e-12, rtol=0)


def test_shares_move_with_the_order_of_the_groups():
    order = [2, 0, 3, 1]
    torch.testing.assert_close(
        shares(importance(some_phi()[:, order]), 1e-3), shares(importance(some_phi()), 1e-3)[order]
    )


def test_eps_keeps_shares_positive_and_nothing_important_is_uniform():
    # (1 + eps) / (1 + 2 eps) and eps / (1 + 2 eps)
    assert shares(torch.tensor([5.0, 0.0]), 0.5).tolist() == [0.75, 0.25]
    assert shares(torch.zeros(4), 1e-3).tolist() == [0.25] * 4


def test_divergence_is_zero_for_equal_shares_and_only_for_them():
    p, q = torch.tensor([0.5, 0.25, 0.25]).double(), torch.tensor([0.25, 0.5, 0.25]).double()
    assert float(divergence(p, p)) == 0
    assert float(divergence(p, q)) == pytest.approx(0.25 * math.log(2))  # .5 log 2 - .25 log 2
    for _ in range(50):
        other = torch.rand(3).double() + 1e-3
        assert float(divergence(p, other / other.sum())) > 0


def test_a_neglected_factor_costs_more_than_one_that_is_invented():
    neglects, invents = torch.tensor([0.999, 0.001]).double(), torch.tensor([0.5, 0.5]).double()
    assert float(divergence(invents, neglects)) > float(divergence(neglects, invents))


def test_primary_groups_are_the_fewest_that_hold_the_mass():
    assert primary([0.1, 0.5, 0.3, 0.1], 0.8) == [1, 2]  # .5 + .3 is .8
    assert primary([0.1, 0.5, 0.3, 0.1], 0.81) == [1, 2, 0]
    assert primary([0.25] * 4, 0.5) == [0, 1]
    assert primary([2.0, 6.0], 1.0) == [1, 0]


def test_tau_is_one_for_the_same_order_and_minus_one_for_the_reverse():
    assert tau([1, 2, 3], [10, 20, 30]) == 1 and tau([1, 2, 3], [3, 2, 1]) == -1
    assert tau([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(4 / 6)  # one of six pairs is reversed
    assert tau([1, 1, 1], [1, 2, 3]) is None
    assert mean_tau([[1, 2, 3], [1, 2, 3], [3, 2, 1]]) == pytest.approx((1 - 1 - 1) / 3)
    assert mean_tau([[1, 2, 3]]) is None


def test_models_that_agree_have_no_divergence():
    assert mean_divergence([[0.2, 0.8]] * 3) == pytest.approx(0, abs=1e-12)
    # mean is (.5, .5): .5 log(.5/.25) + .5 log(.5/.75) for either
    assert mean_divergence([[0.25, 0.75], [0.75, 0.25]]) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


@pytest.mark.parametrize("seed", range(20))
def test_models_close_on_all_coalitions_rank_distant_factors_alike(seed):
    generator = torch.Generator().manual_seed(seed)
    first_SB = torch.randn(16, 30, generator=generator, dtype=torch.float64)
    first_SB = first_SB + 4 * shapley(4).kept_SG.double() @ torch.tensor([3.0, 2.0, 1.0, 0.0]).double()[:, None]
    second_SB = first_SB + 5 + 0.3 * (2 * torch.rand(16, 30, generator=generator, dtype=torch.float64) - 1)
    one_G, other_G = (importance(shapley(4).phi(values)) for values in (first_SB, second_SB))
    pairs = ordered_alike(first_SB, second_SB, one_G, 1e-9)
    assert pairs and all(other_G[g] > other_G[h] for g, h in pairs)
    assert float((one_G - other_G).abs().max()) <= 0.6


def test_equal_predictions_on_whole_rows_alone_do_not_fix_the_order():
    # The two factors are one and the same number: either model may lean on either factor.
    x_B = torch.tensor([-1.0, 1.0]).double()
    kept_SG = shapley(2).kept_SG.double()
    leans = [
        weights[0] * kept_SG[:, :1] * x_B + weights[1] * kept_SG[:, 1:] * x_B for weights in ((1.0, 0.0), (0.0, 1.0))
    ]
    torch.testing.assert_close(leans[0][-1], leans[1][-1])
    one_G, other_G = (importance(shapley(2).phi(values)) for values in leans)
    assert one_G[0] > one_G[1] and other_G[1] > other_G[0]
    assert ordered_alike(leans[0], leans[1], one_G, 1e-9) == []


def test_the_error_of_a_share_is_the_jackknifes():
    phi_BG = np.array([[1.0, 1.0], [2.0, 0.0], [-1.0, 3.0]])
    # Shares of the first group without row 0, 1, 2: 3/6 (|2|+|1| of 6), 2/6, 3/4 over sums 6, 6, 4.
    left = np.array([3 / 6, 2 / 6, 3 / 4])
    want = math.sqrt(2 / 3 * np.square(left - left.mean()).sum())
    np.testing.assert_allclose(share_errors(phi_BG, ["a", "b", "c"]), [want, want])
    assert np.isnan(share_errors(phi_BG, ["a", "a", "a"])).all()


def test_texts_of_one_prompt_count_as_one():
    phi_BG = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 0.5]])
    twice_BG, prompts = np.repeat(phi_BG, 2, axis=0), ["a", "a", "b", "b", "c", "c"]
    np.testing.assert_allclose(share_errors(twice_BG, prompts), share_errors(phi_BG, ["a", "b", "c"]))


def test_in_reverse_the_most_goes_to_the_least_important_group():
    assert in_reverse([0.5, 0.1, 0.3, 0.1]) == [
        0.1,
        0.5,
        0.1,
        0.3,
    ]  # of equal shares the earlier group counts as smaller
    assert in_reverse(in_reverse([0.5, 0.3, 0.2])) == [0.5, 0.3, 0.2]
