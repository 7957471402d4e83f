import torch

from rlx.model.probe import bradley_terry


def test_one_feature_has_the_weight_that_its_odds_ask_for():
    # d = +1 three times, -1 once: the mean loss is least where sigmoid(w) = 3/4, w = log 3 (without a pull to 0).
    differences = torch.tensor([[1.0], [1.0], [1.0], [-1.0]])
    torch.testing.assert_close(bradley_terry(differences, 1e-12), torch.tensor([3.0]).double().log(), rtol=1e-5, atol=0)


def test_the_gradient_is_nought_at_the_answer():
    # d/dw = -mean sigmoid(-w.d) d + l2 w
    differences = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)).double() + 0.3
    weight = bradley_terry(differences, 0.01)
    gradient = -(torch.sigmoid(-differences @ weight)[:, None] * differences).mean(0) + 0.01 * weight
    assert gradient.abs().max() < 1e-6


def test_separable_pairs_have_a_finite_head():
    assert bradley_terry(torch.ones(4, 2), 0.01).isfinite().all()


def test_weights_count_pairs_as_often_as_they_say():
    differences = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    weight = torch.tensor([2.0, 0.0] * 10)
    twice = differences[::2].repeat(2, 1)
    torch.testing.assert_close(
        bradley_terry(differences, 0.01, weight), bradley_terry(twice, 0.01), rtol=1e-6, atol=1e-8
    )
    assert torch.equal(bradley_terry(differences, 0.01, torch.ones(20)), bradley_terry(differences, 0.01))
