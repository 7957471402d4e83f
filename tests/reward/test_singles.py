import torch
from made_of import made_of

from rlx.experiment.assembly import LoadedToScore, singles
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.reward.single import Single
from rlx.reward.warm import WARM


def test_members_are_asked_one_by_one_without_a_second_copy_of_an_ensemble(member, drawn):
    paths = [member(i) for i in range(3)]
    alone = [Single(0).scorer(made_of([path])).member_scores(*drawn) for path in paths]
    ensemble, warm = EnsembleMean(3).scorer(made_of(paths)), WARM(3).scorer(made_of(paths))
    shared = singles(ensemble, paths, 64)
    assert [one.members[0].model for one in shared] == [one.model for one in ensemble.members]
    for scorers in (shared, singles(warm, paths, 64), [LoadedToScore(path, 64) for path in paths]):
        for scorer, scores in zip(scorers, alone, strict=True):
            assert torch.equal(scorer.member_scores(*drawn), scores)
