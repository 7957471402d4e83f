import numpy as np

from rlx.metric.disagreement import disagreement, measure
from tests.metric.enumerable import evaluation


def test_disagreement_is_the_population_deviation_over_members_averaged_over_completions():
    # columns (1, 3): sd 1; (2, 2): sd 0
    assert disagreement(np.array([[1.0, 2.0], [3.0, 2.0]])) == 0.5


def test_a_constant_added_to_one_completion_s_scores_changes_no_disagreement():
    scores = np.array([[0.0, 4.0], [2.0, 1.0], [1.0, 7.0]])
    assert disagreement(scores + np.array([5.0, -3.0])) == disagreement(scores)


def test_members_are_reported_one_by_one():
    assert measure(evaluation(np.array([0, 2]))) == {
        "ensemble/member_0": 1.0,
        "ensemble/member_1": 3.0,
        "ensemble/std": 1.0,
    }


def test_a_single_member_has_no_disagreement():
    assert measure(evaluation(np.array([0, 2]), member_scores_MB=np.array([[1.0, 2.0]]))) == {"ensemble/member_0": 1.5}
