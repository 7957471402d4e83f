import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification
from transformers.integrations.deepspeed import (
    HfDeepSpeedConfig,
    is_deepspeed_zero3_enabled,
    unset_hf_deepspeed_config,
)
from word_world import ARCHITECTURES, save_model

from rlx.core.error import UserError
from rlx.model.score_head import load_reward_model, pack, score_rows, score_tokens

ROWS = [[1, 4, 10, 8, 2], [1, 4, 2], [1, 4, 10, 8, 8, 8, 2]]


def reward_directory(path, architecture="llama", **options):
    """A reward model whose head is its own, as a trainer would save it."""
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        save_model(path / "base", architecture), num_labels=options.pop("num_labels", 1), pad_token_id=0
    )
    model.save_pretrained(path / "reward")
    return path / "reward"


def edit_weights(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_score_is_what_transformers_reads_at_the_last_token(tmp_path, architecture):
    model = load_reward_model(reward_directory(tmp_path, architecture))
    ids, mask = pack(ROWS, 0)
    want = model(input_ids=ids, attention_mask=mask.long()).logits.squeeze(-1)
    torch.testing.assert_close(score_tokens(model, ids, mask), want)
    torch.testing.assert_close(score_rows(model, ROWS, batch_size=2), want)


def test_a_padding_token_that_a_policy_drew_is_read_where_it_stands(tmp_path):
    model = load_reward_model(reward_directory(tmp_path))
    ids, mask = torch.tensor([[1, 4, 10, 0, 0]]), torch.tensor([[True, True, True, True, False]])
    alone = score_tokens(model, ids[:, :4], mask[:, :4])
    torch.testing.assert_close(score_tokens(model, ids, mask), alone)
    assert not torch.allclose(alone, model(input_ids=ids).logits.squeeze(-1))


def test_while_zero3_trains_a_policy_a_reward_model_is_loaded_whole(tmp_path):
    """WARM's members are, at every evaluation, where a GPU holds one at a time."""
    directory = reward_directory(tmp_path)
    wanted = score_rows(load_reward_model(directory), ROWS)
    training = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 1})
    try:
        assert is_deepspeed_zero3_enabled()
        torch.testing.assert_close(score_rows(load_reward_model(directory), ROWS), wanted)
        assert is_deepspeed_zero3_enabled()  # still, for the policy
    finally:
        unset_hf_deepspeed_config()
        del training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_language_model_is_no_reward_model(tmp_path, architecture):
    with pytest.raises(UserError, match=r"no score head \(score.weight\); it is a language model"):
        load_reward_model(save_model(tmp_path / "lm", architecture))


@pytest.mark.parametrize("name", ["v_head.summary.weight", "reward_head.weight", "value_head.weight"])
def test_a_head_of_another_name_is_named(tmp_path, name):
    directory = reward_directory(tmp_path)
    edit_weights(directory, lambda weights: weights.update({name: weights.pop("score.weight")}))
    with pytest.raises(UserError, match=f"it has {name}: rename that to score.weight"):
        load_reward_model(directory)


def test_two_labels_are_refused(tmp_path):
    with pytest.raises(UserError, match="num_labels is 2"):
        load_reward_model(reward_directory(tmp_path, num_labels=2))


def test_a_head_of_the_wrong_shape_is_refused(tmp_path):
    directory = reward_directory(tmp_path)
    edit_weights(directory, lambda weights: weights.update({"score.weight": torch.ones(1, 4)}))
    with pytest.raises(UserError, match=r"shape \(1, 4\); expected \(1, 16\)"):
        load_reward_model(directory)


def test_a_bias_that_would_be_left_out_is_refused(tmp_path):
    directory = reward_directory(tmp_path)
    edit_weights(directory, lambda weights: weights.update({"score.bias": torch.ones(1)}))
    with pytest.raises(UserError, match="the score head has a bias"):
        load_reward_model(directory)


def test_a_head_that_is_not_finite_is_refused(tmp_path):
    directory = reward_directory(tmp_path)
    edit_weights(directory, lambda weights: weights["score.weight"].fill_(torch.nan))
    with pytest.raises(UserError, match="not finite"):
        load_reward_model(directory)


def test_a_trunk_with_a_hole_is_refused(tmp_path):
    directory = reward_directory(tmp_path)
    edit_weights(directory, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(UserError, match=r"model.norm.weight would be initialised at random"):
        load_reward_model(directory)


def test_an_adapter_alone_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="LoRA adapter alone; merge it"):
        load_reward_model(tmp_path)
