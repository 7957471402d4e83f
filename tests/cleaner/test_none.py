import torch

from rlx.cleaner.none import NoCleaner
from tests.cleaner.pairs import evidence, nothing


def test_every_pair_counts_alike_and_nothing_is_made_for_it():
    assert torch.equal(NoCleaner().weights(evidence(num_pairs=10), nothing), torch.ones(10, dtype=torch.float64))
    assert not NoCleaner.cleans and NoCleaner().num_trusted == 0
