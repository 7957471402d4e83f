import numpy as np

from rlx.metric.length import measure
from tests.metric.enumerable import evaluation


def test_length_counts_unmasked_tokens_and_the_rate_counts_natural_ends():
    # texts of 1, 2, 2, 2 tokens; the last two did not end
    assert measure(evaluation(np.array([0, 1, 2, 2]))) == {"completions/mean_length": 1.75, "completions/eos_rate": 0.5}
