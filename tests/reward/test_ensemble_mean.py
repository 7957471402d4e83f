import torch
from made_of import made_of

from rlx.reward.ensemble_mean import EnsembleMean, ensemble_mean


def test_the_mean_of_the_members():
    # (1 + 3)/2 = 2, (-2 + 6)/2 = 2
    assert ensemble_mean(torch.tensor([[1.0, -2.0], [3.0, 6.0]])).tolist() == [2.0, 2.0]


def test_one_member_is_that_member(member, drawn):
    scorer = EnsembleMean(1).scorer(made_of([member(0)]))
    scores = scorer.member_scores(*drawn)
    assert torch.equal(scorer.aggregate(scores), scores[0])


def test_each_member_scores_for_itself(member, drawn):
    paths = [member(0), member(1)]
    together = EnsembleMean(2).scorer(made_of(paths)).member_scores(*drawn)
    alone = [EnsembleMean(1).scorer(made_of([path])).member_scores(*drawn) for path in paths]
    assert torch.equal(together, torch.cat(alone))
