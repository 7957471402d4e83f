"""Reward models that are trained as adapters: the files, the base that they share, and what is refused."""

import gc
import json
import re
import shutil

import pytest
import torch
from made_of import made_of
from safetensors.torch import load_file, save_file
from word_world import WordWorld, pretrained, reward_model, save_model, sft

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.core.model_folder import BASE
from rlx.model import shared_base
from rlx.model.adapter import WEIGHTS, read_adapter
from rlx.model.average import averaged_directory
from rlx.model.score_head import load_reward_model, score_rows
from rlx.reward._ensemble import load_member
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.reward.warm import WARM
from rlx.supervised.gold import RewardModelJudge
from rlx.supervised.reward_model import RewardMember

ROWS = [[5, 6, 7, 8], [9, 5], [6, 6, 8, 9, 7, 5], [7]]


def adapted(base, index=0, rank=2, **changes) -> RewardMember:
    numbers = reward_model(**{"num_epochs": 4.0, "num_pairs": 16, **changes})
    return RewardMember(WordWorld(), pretrained(base, lora_rank=rank), sft(snapshots=(0.5,)), numbers, 0.25, index)


@pytest.fixture
def paths(base, store):
    return [store.fetch(adapted(base, i), 0) for i in range(3)]


def merged(path, base):
    """The reward model as one whole model: W + alpha / r B A, each product rounded once."""
    adapter = read_adapter(path)
    model = pretrained(base).reward_trunk(path.parent / json.loads((path / BASE).read_text())["path"])
    with torch.no_grad():
        for name, (a, b) in adapter.matrices.items():
            layer = model.get_submodule(name)
            change = (b.double() @ a.double()) * adapter.config.lora_alpha / adapter.config.r
            layer.weight.copy_((layer.weight.double() + change).float())
        model.score.weight.copy_(adapter.head)
    return model.requires_grad_(False).eval()


def test_a_member_is_its_adapter_and_the_address_of_its_base(paths, base, store):
    (path, *_) = paths
    assert not list(path.glob("model*.safetensors"))
    assert {"adapter_config.json", WEIGHTS, BASE, "config.json", "member.json"} <= {p.name for p in path.iterdir()}
    told = json.loads((path / BASE).read_text())
    assert told["path"] == store.path(adapted(base).trunk()[0], 0).name  # relative: a store may be moved
    assert all(x.abs().max() > 0 for x in load_file(path / WEIGHTS).values())  # B starts at 0


def test_scores_are_those_of_the_merged_members(paths, base):
    for path in paths:
        torch.testing.assert_close(
            score_rows(load_reward_model(path), ROWS), score_rows(merged(path, base), ROWS), atol=1e-5, rtol=1e-5
        )


def test_warm_is_one_adapter_whose_scores_are_those_of_the_mean_of_the_merged_weights(paths, base):
    whole = [merged(path, base).state_dict() for path in paths]
    mean = pretrained(base).reward_trunk(base)
    mean.load_state_dict({name: sum(x[name].double() for x in whole).div(3).float() for name in whole[0]})
    scorer = WARM(3).scorer(made_of(paths))
    model = scorer.members[0].model
    assert model.adapter.config.r == 6  # one forward pass, of three times the rank
    torch.testing.assert_close(score_rows(model, ROWS), score_rows(mean.eval(), ROWS), atol=1e-5, rtol=1e-5)


def test_members_on_snapshots_are_averaged_with_their_bases(base, store):
    recipes = [adapted(base, i, trunks="snapshots", num_trunks=2) for i in range(2)]
    paths = [store.fetch(recipe, 0) for recipe in recipes]
    assert json.loads((paths[1] / BASE).read_text())["path"].endswith("/snapshot-0")
    whole = [merged(path, base).state_dict() for path in paths]
    mean = pretrained(base).reward_trunk(base)
    mean.load_state_dict({name: ((whole[0][name].double() + whole[1][name].double()) / 2).float() for name in whole[0]})
    with averaged_directory(paths, [0.5, 0.5]) as directory:
        found = load_reward_model(directory)
    torch.testing.assert_close(score_rows(found, ROWS), score_rows(mean.eval(), ROWS), atol=1e-5, rtol=1e-5)


def test_members_gold_and_mean_stand_on_one_base_and_leave_it_when_they_go(paths):
    scorer, mean = EnsembleMean(3).scorer(made_of(paths)), WARM(3).scorer(made_of(paths))
    gold = RewardModelJudge(paths[2], "world.gold")
    bases = {id(one.model.base) for one in (*scorer.members, *mean.members)} | {id(gold.model.base)}
    assert len(bases) == 1
    alone = score_rows(scorer.members[0].model, ROWS)
    del scorer, mean
    gc.collect()
    layer = next(module for _, module in gold.model.base._layers())
    assert len(layer.lora_A) == 1  # gold's
    torch.testing.assert_close(score_rows(load_reward_model(paths[0]), ROWS), alone, atol=0, rtol=0)
    del gold, layer
    gc.collect()
    assert not shared_base._BASES


def test_a_member_scores_alike_whoever_scored_before(paths):
    models = [load_reward_model(path) for path in paths]
    first = [score_rows(model, ROWS) for model in models]
    again = [score_rows(model, ROWS) for model in reversed(models)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])


def test_the_measured_scale_is_that_of_what_was_saved(paths):
    for path in paths:
        loaded = load_member(path)
        z = loaded.z_scores(score_rows(loaded.model, loaded.reference).double())
        assert abs(z.mean()) < 1e-5 and abs(z.std(correction=0) - 1) < 1e-5


def test_a_trunk_of_its_own_is_named_by_its_directory(base, tmp_path):
    other = save_model(tmp_path / "other", "gpt_neox", seed=3)
    store, model = Store(tmp_path / "store"), pretrained(base, lora_rank=2, reward_path=str(other))
    path = store.fetch(RewardMember(WordWorld(), model, sft(), reward_model(num_pairs=8), 0.25, 0), 0)
    assert json.loads((path / BASE).read_text())["path"] == str(other)
    assert score_rows(load_reward_model(path), ROWS).isfinite().all()


def test_plain_peft_reads_the_files(paths, base):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    address = json.loads((paths[0] / BASE).read_text())["path"]
    trunk = AutoModelForSequenceClassification.from_pretrained(paths[0].parent / address, num_labels=1)
    model = PeftModel.from_pretrained(trunk, str(paths[0])).eval()
    ids = torch.tensor(ROWS[:1])
    found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    torch.testing.assert_close(found.detach(), score_rows(load_reward_model(paths[0]), ROWS[:1]), atol=1e-5, rtol=1e-5)


@pytest.fixture
def copied(paths, tmp_path):
    """A store of one member and its base, to be spoilt."""
    base = json.loads((paths[0] / BASE).read_text())["path"]
    shutil.copytree(paths[0].parent / base, tmp_path / base)
    return shutil.copytree(paths[0], tmp_path / paths[0].name), tmp_path / base


def test_a_store_may_be_moved(copied, paths):
    torch.testing.assert_close(
        score_rows(load_reward_model(copied[0]), ROWS), score_rows(load_reward_model(paths[0]), ROWS)
    )


def test_a_base_that_changed_is_refused_by_both_names(copied):
    member, base = copied
    weights = load_file(base / "model.safetensors")
    save_file({name: x * 1.001 for name, x in weights.items()}, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"{member.name}: its base .*{base.name} has changed"):
        load_reward_model(member)


def test_a_base_that_is_gone_is_refused_by_both_names(copied):
    member, base = copied
    shutil.rmtree(base)
    with pytest.raises(UserError, match=f"{member.name}: its base .*{base.name} is not there"):
        load_reward_model(member)


def test_an_adapter_of_another_base_is_refused_by_both_names(copied, tmp_path):
    member, base = copied
    tensors = load_file(member / WEIGHTS)
    name = next(name for name in tensors if name.endswith("lora_A.weight"))
    save_file(tensors | {name: torch.ones(2, 5)}, member / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"{member.name}: its adapter of .* {re.escape(str(base))} .* another base"):
        load_reward_model(member)


def test_an_adapter_without_its_head_and_a_head_without_its_adapter_are_refused(copied):
    member, _ = copied
    tensors = load_file(member / WEIGHTS)
    save_file({k: v for k, v in tensors.items() if "score" not in k}, member / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match="has no score head"):
        load_reward_model(member)
    (member / WEIGHTS).unlink()
    with pytest.raises(UserError, match=f"has no {WEIGHTS}"):
        load_reward_model(member)


def test_ranks_that_differ_are_not_averaged(base, store, paths):
    other = store.fetch(adapted(base, 1, rank=3), 0)
    with pytest.raises(UserError, match="reward models 0 and 1 cannot be averaged: r is 2 in one and 3 in the other"):
        WARM(2).scorer(made_of([paths[0], other]))
