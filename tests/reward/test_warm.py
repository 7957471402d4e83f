import logging
from typing import Any

import pytest
import torch
from made_of import made_of
from safetensors.torch import load_file, save_file

from rlx.core.error import UserError
from rlx.model.average import averaged_directory
from rlx.model.score_head import load_reward_model, score_rows
from rlx.reward._ensemble import LoadedMember
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.reward.single import Single
from rlx.reward.warm import WARM, least_cosine, warm_weights

ROWS = [[1, 4, 10, 8, 10, 2], [1, 5, 9, 2], [1, 4, 11, 8, 8, 8, 9]]


def with_head(path, head):
    """`path` with the score head `head`, a linear member on a trunk that is shared."""
    weights = load_file(path / "model.safetensors")
    save_file(weights | {"score.weight": head}, path / "model.safetensors", metadata={"format": "pt"})
    return path


def test_one_member_is_that_member_bit_for_bit(member, drawn):
    path = member(0)
    one, other = WARM(1).scorer(made_of([path])), Single(0).scorer(made_of([path]))
    assert torch.equal(one.member_scores(*drawn), other.member_scores(*drawn))


def test_identical_members_score_as_one(member, drawn):
    paths = [member(0, name=str(i)) for i in range(3)]
    scores = WARM(3).scorer(made_of(paths)).member_scores(*drawn)
    assert scores.shape == (1, 3)
    torch.testing.assert_close(scores, Single(0).scorer(made_of(paths[:1])).member_scores(*drawn))


def test_the_order_of_the_members_does_not_matter(member, drawn):
    paths = [member(i) for i in range(3)]
    there, back = WARM(3).scorer(made_of(paths)), WARM(3).scorer(made_of(paths[::-1]))
    assert torch.equal(there.member_scores(*drawn), back.member_scores(*drawn))


def test_a_member_that_diverged_is_refused_with_its_place_and_the_tensor(member):
    paths = [member(0), with_head(member(1), torch.full((1, 16), torch.inf))]
    with pytest.raises(UserError, match=rf"model 1 .*score\.weight holds NaN or infinity.*{paths[1]}"):
        WARM(2).scorer(made_of(paths))


def test_for_linear_members_averaging_weights_is_averaging_predictions(member, drawn):
    # r_i = w_i . phi with one phi: (1/M) sum_i r_i = ((1/M) sum_i w_i) . phi
    heads = torch.randn(3, 1, 16, generator=torch.Generator().manual_seed(0))
    paths = [with_head(member(0, name=str(i)), head.clone()) for i, head in enumerate(heads)]
    predictions = torch.stack([score_rows(load_reward_model(path), ROWS) for path in paths]).mean(0)
    with averaged_directory(paths, warm_weights(3)) as directory:
        averaged = load_reward_model(directory)
    torch.testing.assert_close(score_rows(averaged, ROWS), predictions)


def test_the_average_is_put_on_the_scale_of_its_own_scores(member):
    scorer = WARM(2).scorer(made_of([member(0), member(1)]))
    scored = scorer.members[0]  # pyright: ignore
    z = scored.z_scores(score_rows(scored.model, scored.reference).double())
    assert abs(z.mean()) < 1e-6 and abs(z.std(correction=0) - 1) < 1e-6


def test_it_costs_one_model_where_the_mean_costs_all(member):
    paths = [member(0), member(1)]
    assert len(WARM(2).scorer(made_of(paths)).members) == 1 and len(EnsembleMean(2).scorer(made_of(paths)).members) == 2  # pyright: ignore


def test_heads_that_did_not_start_from_one_are_said(member, caplog):
    # cos((1, 0), (0, 1)) = 0, cos((1, 0), (1, 1)) = 0.707
    assert least_cosine([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])]) == 0
    assert abs(least_cosine([torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])]) - 0.5**0.5) < 1e-12
    assert least_cosine([torch.ones(2)]) == 1
    with caplog.at_level(logging.WARNING):
        WARM(2).scorer(made_of([member(0), member(1)]))
    assert "did not start from one head" in caplog.text


def test_warms_scale_is_measured_on_the_device_before_the_scorer_is_moved_there(monkeypatch):
    moved, asked = [], []

    def scores(model, rows, at_once):
        assert at_once == 64
        asked.append(model in moved)
        return torch.arange(float(len(rows)))

    monkeypatch.setattr("rlx.reward._ensemble.on_device", lambda model: moved.append(model) or model)
    monkeypatch.setattr("rlx.reward._ensemble.shared_scores", scores)
    averaged: Any = "the averaged model"
    assert LoadedMember(averaged, 0.0, 1.0, [[1], [2], [3]], None).normalised(64).mean == 1.0  # of 0, 1, 2
    assert asked == [True]
