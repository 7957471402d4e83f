import pytest
import torch
from bandit import Table

from rlx.core.settings import ProxySettings
from rlx.engine.proxy import Proxy, optimised

SCORES = torch.tensor([[0.5, 3.0], [-4.0, 1.0]])
ENDED = torch.tensor([[True, True], [False, False]])


def test_a_clip_bounds_the_score_and_the_penalty_is_taken_off_afterwards():
    # 0.5, 3 -> 2; -4 -> -2, less 1; 1, less 1
    assert optimised(SCORES, ENDED, clip=2.0, missing_eos_penalty=1.0).tolist() == [[0.5, 2.0], [-3.0, 0.0]]


def test_without_clip_and_penalty_the_score_is_what_is_optimised_bit_for_bit():
    assert torch.equal(optimised(SCORES, ENDED, clip=None, missing_eos_penalty=0.0), SCORES)


def test_a_completion_that_ended_loses_nothing():
    assert torch.equal(optimised(SCORES, ENDED | True, clip=None, missing_eos_penalty=7.0), SCORES)


@pytest.mark.parametrize(("clip", "share"), [(2.0, 0.5), (5.0, 0.0), (None, None)])
def test_what_the_clip_changes_is_counted(clip, share):
    clipped = Proxy(Table([0.0] * 8), ProxySettings(clip=clip, missing_eos_penalty=1.0)).clipped(SCORES)
    assert clipped is None if share is None else clipped is not None and clipped.float().mean() == share


def test_what_is_measured_is_the_aggregate_neither_clipped_nor_penalised():
    proxy = Proxy(Table([0.0] * 8), ProxySettings(clip=0.1, missing_eos_penalty=9.0))
    assert proxy.measured(SCORES).tolist() == [-1.75, 2.0]
