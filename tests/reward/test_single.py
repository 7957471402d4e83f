import logging

import pytest
import torch
from made_of import made_of
from safetensors.torch import load_file, save_file
from word_world import save_model

from rlx.core.error import UserError
from rlx.model.score_head import load_reward_model, score_rows
from rlx.reward._ensemble import load_member
from rlx.reward.single import Single

ROWS = [[1, 4, 10, 8, 10, 2], [1, 5, 9, 2], [1, 4, 11, 8, 8, 8, 9]]  # `drawn`, without its padding


def test_the_score_is_the_z_score_of_prompt_and_completion_without_padding(member, drawn):
    path = member(0)
    model = load_reward_model(path)
    want = (score_rows(model, ROWS) - model.config.score_mean) / model.config.score_std
    scorer = Single(0).scorer(made_of([path]))
    scores = scorer.member_scores(*drawn)
    assert scores.shape == (1, 3)
    torch.testing.assert_close(scorer.aggregate(scores), want)


def test_more_padding_changes_no_score(member, drawn):
    scorer = Single(0).scorer(made_of([member(0)]))
    prompt_ids, prompt_mask, ids, mask = drawn
    pad = torch.nn.functional.pad
    wider = pad(prompt_ids, (4, 0)), pad(prompt_mask, (4, 0)), pad(ids, (0, 5)), pad(mask, (0, 5))
    assert torch.equal(scorer.member_scores(*drawn), scorer.member_scores(*wider))


def test_the_end_of_sequence_is_seen(member, drawn):
    scorer = Single(0).scorer(made_of([member(0)]))
    prompt_ids, prompt_mask, ids, mask = drawn
    unended = mask.clone()
    unended[0, 2] = False
    there, without = scorer.member_scores(*drawn), scorer.member_scores(prompt_ids, prompt_mask, ids, unended)
    assert there[0, 0] != without[0, 0] and torch.equal(there[0, 1:], without[0, 1:])


def test_moving_and_stretching_a_members_scores_changes_nothing_after_normalisation(member, drawn):
    # (s r + c - (s mean + c)) / (s sd) = (r - mean) / sd. The constant lies in config.score_mean: the head has no bias.
    one, other = Single(0).scorer(made_of([member(0)])), Single(0).scorer(made_of([member(0, scale=3.0)]))
    torch.testing.assert_close(one.member_scores(*drawn), other.member_scores(*drawn))
    moved = load_member(member(0, constant=5.0))
    raw = score_rows(moved.model, ROWS)
    torch.testing.assert_close(moved.z_scores(raw + 5.0)[None], one.member_scores(*drawn))


def test_a_language_model_among_the_members_is_refused(tmp_path):
    with pytest.raises(UserError, match="no score head"):
        Single(0).scorer(made_of([save_model(tmp_path)]))


def test_a_reward_model_without_a_scale_is_no_member(member):
    path = member(0)
    (path / "reference_set.safetensors").unlink()
    with pytest.raises(UserError, match=r"reference_set.safetensors"):
        Single(0).scorer(made_of([path]))


def test_members_are_frozen(member):
    scorer = Single(0).scorer(made_of([member(0)]))
    assert not any(p.requires_grad for m in scorer.members for p in m.model.parameters())  # pyright: ignore


def test_unused_tensors_of_a_checkpoint_are_said(member, caplog):
    path = member(0)
    weights = load_file(path / "model.safetensors")
    save_file(weights | {"lm_head.weight": torch.ones(2, 2)}, path / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING):
        load_reward_model(path)
    assert "1 tensors of the checkpoint are not used" in caplog.text
