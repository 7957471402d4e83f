"""The kernel of attention that a model is asked for, for policies and reward models alike."""

import importlib.util

import pytest
import torch
from word_world import pretrained, save_model

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.model import attention
from rlx.model.score_head import load_reward_model, score_rows
from tests.model.test_score_head import ROWS, reward_directory


@pytest.fixture
def chosen():
    """attention.use, undone at the end."""
    yield attention.use
    attention.use(None)


def kernel(model) -> str:
    return model.config._attn_implementation


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_policy_and_trunk_are_computed_with_the_kernel_that_was_asked_for(tmp_path, name):
    save_model(tmp_path)
    recipe, usual = pretrained(tmp_path, attn_implementation=name), pretrained(tmp_path)
    policy, trunk = recipe.policy(None), recipe.reward_trunk(tmp_path)
    assert kernel(policy) == kernel(trunk) == name
    assert kernel(usual.policy(None)) == "sdpa"  # what transformers chooses
    ids_BT = torch.tensor([[1, 4, 10, 8, 2]])
    torch.testing.assert_close(policy(ids_BT).logits, usual.policy(None)(ids_BT).logits)


def test_reward_models_are_computed_as_the_policies_of_the_run(tmp_path, chosen):
    directory = reward_directory(tmp_path)
    usual = load_reward_model(directory)
    chosen("eager")
    eager = load_reward_model(directory)
    assert (kernel(usual), kernel(eager)) == ("sdpa", "eager")
    torch.testing.assert_close(score_rows(eager, ROWS), score_rows(usual, ROWS))


def test_the_usual_kernel_leaves_the_fingerprint_as_it_was_and_another_is_part_of_it(tmp_path):
    save_model(tmp_path)
    usual = pretrained(tmp_path).fingerprint()
    assert isinstance(usual, list) and len(usual) == 5  # path, reward model, template, dtype, adapters
    assert pretrained(tmp_path, attn_implementation="eager").fingerprint() == [*usual, "eager"]


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash-attn is installed here")
def test_a_kernel_that_is_not_installed_is_named_in_one_line_and_not_fetched(tmp_path, chosen):
    save_model(tmp_path)
    words = "model.attn_implementation=flash_attention_2: the package flash_attn is not installed"
    for load in ("policy", "reward_trunk"):
        with pytest.raises(UserError, match=words) as error:
            getattr(pretrained(tmp_path, attn_implementation="flash_attention_2"), load)(tmp_path)
        assert "\n" not in str(error.value)
    chosen("flash_attention_2")
    with pytest.raises(UserError, match=words):
        load_reward_model(reward_directory(tmp_path))


def test_a_kernel_that_an_architecture_cannot_have_is_refused(tmp_path, monkeypatch):
    save_model(tmp_path)
    from transformers import LlamaForCausalLM

    monkeypatch.setattr(LlamaForCausalLM, "_supports_flex_attn", False)
    with pytest.raises(
        UserError, match=r"model\.attn_implementation=flex_attention: .*; choose another, or null"
    ) as error:
        pretrained(tmp_path, attn_implementation="flex_attention").policy(None)
    assert "\n" not in str(error.value)


def test_another_error_while_a_kernel_is_asked_for_stays_what_it_is():
    with pytest.raises(ValueError, match="a broken config"), attention.had("eager"):
        raise ValueError("a broken config")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model.dtype=float32"], "takes no model.dtype=float32"),
        (["model.dtype=bfloat16", "compute=cpu"], "is for GPUs"),
        (["model.attn_implementation=kernels-community/attn"], "model.attn_implementation="),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path, words, line):
    save_model(tmp_path)
    asked = ["model=pretrained", f"model.path={tmp_path}", "model.attn_implementation=flash_attention_2", *words]
    (cell,) = compose(asked)
    with pytest.raises(UserError, match=line):
        checked(cell.config)
