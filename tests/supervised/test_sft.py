import json
import logging
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from word_world import WordWorld, pretrained, sft

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.reference.soup import Soup
from rlx.supervised.sft import SFTPolicy


def weights(path):
    return load_file(path / "model.safetensors")


def same(a, b) -> bool:
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_the_same_recipe_trains_the_same_policy_and_another_index_another(policy, store, tmp_path):
    one = weights(store.fetch(policy(0), 0))
    assert same(one, weights(Store(tmp_path).fetch(policy(0), 0)))
    assert not same(one, weights(store.fetch(policy(1), 0)))


def test_training_leaves_the_global_random_states_as_they_were(policy, tmp_path):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    want = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    Store(tmp_path).fetch(policy(0), 0)
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == want


def test_it_is_a_directory_that_from_pretrained_reads(policy, store, base):
    path = store.fetch(policy(0), 0)
    model = pretrained(path)
    assert model.policy(None).config.pad_token_id == model.tokenizer().pad_token_id == 0
    assert not same(weights(path), weights(base))


def test_the_loss_is_on_the_completion_and_its_end(policy, store):
    path = store.fetch(policy(0, num_epochs=20.0), 0)
    model = pretrained(path).policy(None)
    # Demonstrations end after "good cat" and after "sea": the end must have been learnt.
    logits = model(torch.tensor([[1, 4, 10, 5, 8, 10]])).logits[0, -1]
    assert logits.argmax() == 2


def test_snapshots_are_kept_on_the_way(policy, store):
    path = store.fetch(policy(0, snapshots=(0.5,), num_epochs=2.0), 0)
    assert not same(weights(path / "snapshot-0"), weights(path))
    assert pretrained(path / "snapshot-0").tokenizer().eos_token == "</s>"


def test_what_is_too_long_is_left_out_and_counted(base, store, caplog):
    # Prompts have 4 tokens with <s> ("say cat it") or 5 ("say cat it now"): one in four is over 4.
    recipe = SFTPolicy(WordWorld(max_prompt_tokens=4), pretrained(base), sft(), 0)
    with caplog.at_level(logging.WARNING):
        told = json.loads((store.fetch(recipe, 0) / "sft.json").read_text())
    assert told == {"demonstrations": 12, "left_out": {"demonstrations over 4+6 tokens": 4}}
    assert "left out 4 demonstrations over 4+6 tokens" in caplog.text


def test_no_demonstration_left_is_an_error(base, store):
    with pytest.raises(UserError, match=r"no demonstration is left .* raise world.max_prompt_tokens"):
        store.fetch(SFTPolicy(WordWorld(max_prompt_tokens=2), pretrained(base), sft(), 0), 0)


def test_a_loss_that_is_no_number_names_the_policy_and_the_learning_rate(policy, store):
    with pytest.raises(UserError, match=r"SFT policy 0: .* became (nan|inf) .*learning rate 1e\+30; lower model.sft"):
        store.fetch(policy(0, learning_rate=1e30, num_epochs=3.0), 0)


def test_a_batch_that_does_not_divide_is_refused(policy, store):
    with pytest.raises(UserError, match="batch_size 8 is no multiple of micro_batch_size 3"):
        store.fetch(policy(0, micro_batch_size=3), 0)


def test_adapters_are_merged_before_saving(base, store):
    recipe = SFTPolicy(WordWorld(), pretrained(base, lora_rank=2), sft(), 0)
    path = store.fetch(recipe, 0)
    assert weights(path).keys() == weights(base).keys() and not (path / "adapter_config.json").exists()
    assert not same(weights(path), weights(base))


def test_adapters_start_from_the_recipes_seed_whatever_was_drawn_before(base, tmp_path):
    found = []
    for state in (1, 2):
        torch.manual_seed(state)
        recipe = SFTPolicy(WordWorld(), pretrained(base, lora_rank=2), sft(), 0)
        found.append(weights(Store(tmp_path / str(state)).fetch(recipe, 0)))
    assert same(*found)


def test_a_soup_of_policies_with_adapters_is_the_mean_of_what_they_were_merged_into(base, store):
    """B_i A_i has rank 2, so the mean of two such products has rank 4; the product of the mean B and A would have 2."""
    model = pretrained(base, lora_rank=2)
    paths = [store.fetch(SFTPolicy(WordWorld(), model, sft(num_epochs=4.0), i), 0) for i in range(2)]
    one, other = (weights(path) for path in paths)
    soup = Soup(num_policies=2, alpha=None).combine(paths, model).state_dict()
    name = "model.layers.0.self_attn.q_proj.weight"
    changes = [x[name].double() - weights(base)[name] for x in (one, other, soup)]
    assert [rank(change) for change in changes] == [2, 2, 4]
    torch.testing.assert_close(changes[2], (changes[0] + changes[1]) / 2, atol=1e-7, rtol=1e-5)


def rank(change: torch.Tensor) -> int:
    """Of a change that was rounded to fp32 with the weights it was added to."""
    values = torch.linalg.svdvals(change)
    return int((values > 1e-3 * values[0]).sum())
