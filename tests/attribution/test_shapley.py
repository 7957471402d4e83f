from itertools import permutations

import pytest
import torch

from rlx.attribution.shapley import MAX_GROUPS, first_and_last, game, shapley


def random_game(num_groups: int, rows: int = 3, seed: int = 0):
    return torch.randn(2**num_groups, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weights_F):
    return lambda x_BF: x_BF @ weights_F


def table(num: int = 40, factors: int = 5):
    return torch.randn(num, factors, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.7


@pytest.mark.parametrize("attribution", [shapley, first_and_last])
def test_a_linear_score_gives_each_factor_its_weight_times_its_distance_from_the_mean(attribution):
    x_BF, weights_F = table(), torch.tensor([2.0, -1.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    values = game(linear(weights_F), x_BF, x_BF.mean(0), [[0], [1], [2], [3], [4]])
    plan = attribution(5)
    torch.testing.assert_close(plan.phi(values(plan.kept_SG)), weights_F * (x_BF - x_BF.mean(0)), atol=1e-12, rtol=0)


def test_columns_of_one_group_are_taken_away_together():
    x_BF, weights_F = table(), torch.tensor([2.0, -1.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    plan = shapley(2)
    phi_BG = plan.phi(game(linear(weights_F), x_BF, x_BF.mean(0), [[0, 4], [1, 2, 3]])(plan.kept_SG))
    single_BF = weights_F * (x_BF - x_BF.mean(0))
    torch.testing.assert_close(phi_BG[:, 0], single_BF[:, 0] + single_BF[:, 4], atol=1e-12, rtol=0)


@pytest.mark.parametrize("num_groups", [1, 2, 5, MAX_GROUPS])
def test_attributions_and_the_base_sum_to_the_score(num_groups):
    values_SB = 100 * random_game(num_groups)
    phi_BG = shapley(num_groups).phi(values_SB)
    torch.testing.assert_close(phi_BG.sum(1) + values_SB[0], values_SB[-1], atol=1e-6, rtol=0)


def test_exact_values_are_the_mean_gain_over_all_orders():
    num_groups, values_SB = 4, random_game(4)
    want_BG = torch.zeros(3, num_groups, dtype=torch.float64)
    orders = list(permutations(range(num_groups)))
    for order in orders:
        code = 0
        for g in order:
            want_BG[:, g] += (values_SB[code | 1 << g] - values_SB[code]) / len(orders)
            code |= 1 << g
    torch.testing.assert_close(shapley(num_groups).phi(values_SB), want_BG)


def test_a_group_that_changes_nothing_has_nothing_and_equal_groups_have_equally_much():
    kept_SG = shapley(3).kept_SG
    values_SB = (kept_SG[:, 0] & kept_SG[:, 1]).double()[:, None]  # the third group is a dummy, the first two are alike
    torch.testing.assert_close(shapley(3).phi(values_SB), torch.tensor([[0.5, 0.5, 0.0]]).double())


def test_exact_values_move_with_the_names_of_the_groups():
    order, kept_SG = [2, 0, 1], shapley(3).kept_SG
    values_SB = random_game(3)
    codes_S = (kept_SG.long() << torch.tensor(order)).sum(1)  # the same coalition under the old names
    torch.testing.assert_close(shapley(3).phi(values_SB[codes_S]), shapley(3).phi(values_SB)[:, order])


def of_pairs(kept_SG):
    """v = sum a_g + sum b_gh over pairs."""
    a = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    b = torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64).triu(1)
    x_SG = kept_SG.double()
    return (x_SG @ a + ((x_SG @ b) * x_SG).sum(1))[:, None], a + (b.sum(0) + b.sum(1)) / 2


def test_first_and_last_is_exact_for_interactions_of_two_groups():
    cheap, exact = first_and_last(4), shapley(4)
    values_SB, want_G = of_pairs(cheap.kept_SG)
    torch.testing.assert_close(cheap.phi(values_SB)[0], want_G)
    torch.testing.assert_close(exact.phi(of_pairs(exact.kept_SG)[0])[0], want_G)


def test_first_and_last_is_not_exact_for_three_and_that_is_why_reports_use_the_exact_one():
    cheap, exact = first_and_last(3), shapley(3)
    together = [plan.kept_SG.all(1).double()[:, None] for plan in (cheap, exact)]  # worth 1 only with all three
    torch.testing.assert_close(exact.phi(together[1]), torch.full((1, 3), 1 / 3).double())
    torch.testing.assert_close(cheap.phi(together[0]), torch.full((1, 3), 1 / 2).double())


def test_first_and_last_takes_twice_the_groups_and_two():
    assert first_and_last(5).kept_SG.shape == (12, 5)
    assert not first_and_last(5).kept_SG[0].any() and first_and_last(5).kept_SG[-1].all()
    values_SB = random_game(1)
    torch.testing.assert_close(first_and_last(1).phi(values_SB), shapley(1).phi(values_SB))


def test_the_gradient_through_the_attributions_is_that_of_finite_differences():
    x_BF = table(4, 3)
    plan = first_and_last(3)

    def total(weights_F):
        def score(rows_BF):
            return torch.tanh(rows_BF @ weights_F)

        return plan.phi(game(score, x_BF, x_BF.mean(0), [[0], [1], [2]])(plan.kept_SG)).abs().mean(0)[0]

    weights_F = torch.tensor([0.3, -0.8, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (weights_F,), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("num_groups", [0, MAX_GROUPS + 1])
def test_more_groups_than_can_be_enumerated_are_refused(num_groups):
    with pytest.raises(ValueError, match=f"1 to {MAX_GROUPS} groups"):
        shapley(num_groups)
