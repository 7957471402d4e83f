import torch
from made_of import made_of

from rlx.reward.ensemble_mean import ensemble_mean
from rlx.reward.ensemble_uwo import EnsembleUWO, ensemble_uwo

SCORES = torch.randn(5, 100, generator=torch.Generator().manual_seed(0))
ONE_TO_FIVE = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])


def test_the_paper_divides_by_the_number_of_members():
    # mean 3, squared distances 4 + 1 + 0 + 1 + 4 = 10: 3 - 0.5 * 10/5 = 2
    assert ensemble_uwo(ONE_TO_FIVE, 0.5, ddof=0).tolist() == [2.0]


def test_the_papers_ppo_code_divides_by_one_less():
    # 3 - 0.5 * 10/4 = 1.75
    assert ensemble_uwo(ONE_TO_FIVE, 0.5, ddof=1).tolist() == [1.75]


def test_a_coefficient_of_nought_is_the_mean():
    assert torch.equal(ensemble_uwo(SCORES, 0.0, 0), ensemble_mean(SCORES))
    assert torch.equal(ensemble_uwo(SCORES, 0, 1), ensemble_mean(SCORES))


def test_it_is_never_above_the_mean():
    assert (ensemble_uwo(SCORES, 0.5, 0) <= ensemble_mean(SCORES)).all()


def test_one_member_is_that_member():
    assert torch.equal(ensemble_uwo(SCORES[:1], 0.5, 0), SCORES[0])


def test_a_factor_stretches_the_mean_by_it_and_the_penalty_by_its_square():
    mean, penalty = ensemble_mean(SCORES), ensemble_mean(SCORES) - ensemble_uwo(SCORES, 0.5, 0)
    torch.testing.assert_close(ensemble_uwo(3 * SCORES, 0.5, 0), 3 * mean - 9 * penalty)
    torch.testing.assert_close(ensemble_uwo(SCORES + 2, 0.5, 0), mean + 2 - penalty)


def test_the_choice_uses_its_numbers(member, drawn):
    scorer = EnsembleUWO(2, 0.3, 1).scorer(made_of([member(0), member(1)]))
    scores = scorer.member_scores(*drawn)
    want = (ensemble_uwo(scores, 0.3, 1) - scorer.mean) / scorer.std  # pyright: ignore
    torch.testing.assert_close(scorer.aggregate(scores), want)
