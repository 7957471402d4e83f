import torch

from rlx.supervised.probe import bradley_terry_probe, load_head


def test_one_feature_has_the_weight_that_its_odds_ask_for():
    # d = +1 three times, -1 once: the mean loss is least where sigmoid(w) = 3/4, w = log 3 (without a pull to 0).
    differences = torch.tensor([[1.0], [1.0], [1.0], [-1.0]])
    torch.testing.assert_close(
        bradley_terry_probe(differences, 1e-12), torch.tensor([3.0]).double().log(), rtol=1e-5, atol=0
    )


def test_the_gradient_is_nought_at_the_answer():
    # d/dw = -mean sigmoid(-w.d) d + l2 w
    differences = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)).double() + 0.3
    weight = bradley_terry_probe(differences, 0.01)
    gradient = -(torch.sigmoid(-differences @ weight)[:, None] * differences).mean(0) + 0.01 * weight
    assert gradient.abs().max() < 1e-6


def test_separable_pairs_have_a_finite_head():
    assert bradley_terry_probe(torch.ones(4, 2), 0.01).isfinite().all()


def test_all_members_start_from_one_head(member, store):
    assert store.path(member(0).head, 0) == store.path(member(3).head, 0)
    assert load_head(store.fetch(member(0).head, 0)).shape == (1, 16)
