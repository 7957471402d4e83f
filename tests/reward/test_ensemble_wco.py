import torch
from made_of import made_of

from rlx.reward.ensemble_mean import ensemble_mean
from rlx.reward.ensemble_wco import EnsembleWCO, ensemble_wco

SCORES = torch.randn(5, 100, generator=torch.Generator().manual_seed(0))


def test_the_smallest_of_the_members():
    assert ensemble_wco(torch.tensor([[1.0, -2.0], [3.0, -6.0]])).tolist() == [1.0, -6.0]


def test_it_is_never_above_the_mean():
    assert (ensemble_wco(SCORES) <= ensemble_mean(SCORES)).all()


def test_one_member_is_that_member():
    assert torch.equal(ensemble_wco(SCORES[:1]), SCORES[0])


def test_a_constant_moves_it_and_a_factor_stretches_it():
    torch.testing.assert_close(ensemble_wco(SCORES + 2), ensemble_wco(SCORES) + 2)
    torch.testing.assert_close(ensemble_wco(3 * SCORES), 3 * ensemble_wco(SCORES))


def test_the_choice_takes_the_minimum_of_its_members(member, drawn):
    scorer = EnsembleWCO(2).scorer(made_of([member(0), member(1)]))
    scores = scorer.member_scores(*drawn)
    minimum = scores.min(0).values
    torch.testing.assert_close(scorer.aggregate(scores), (minimum - scorer.mean) / scorer.std)  # pyright: ignore
    assert scorer.aggregate(scores).argsort().tolist() == minimum.argsort().tolist()
