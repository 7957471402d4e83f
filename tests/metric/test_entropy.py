import numpy as np
import pytest
import torch

from rlx.metric.entropy import measure, token_entropy
from tests.metric.enumerable import evaluation


def test_entropy_is_a_mean_over_unmasked_tokens_not_over_completions():
    entropy_BT, mask_BT = torch.tensor([[3.0, torch.nan], [0.0, 0.0]]), torch.tensor([[True, False], [True, True]])
    assert token_entropy(entropy_BT, mask_BT) == 1.0


def test_rubbish_behind_the_end_is_not_read():
    assert measure(evaluation(np.array([0, 1, 2])))["objective/entropy"] == pytest.approx(1.0)
