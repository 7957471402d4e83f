import json

import pytest
import torch
from made_of import made_of
from safetensors.torch import load_file
from word_world import ARCHITECTURES, TEMPLATE, WordWorld, pretrained, reward_model, save_model, sft, word_tokenizer

from rlx.artefact.store import Store
from rlx.core.error import UserError
from rlx.model.score_head import load_reward_model, pack, score_rows, score_tokens, shared_scores
from rlx.model.tokens import encode_completion, encode_prompt
from rlx.reward._ensemble import load_member
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.supervised.member import dropout_of, pair_accuracy
from rlx.supervised.pairs import read
from rlx.supervised.reference_set import read_reference_set
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.reward_rows import RewardRows


def told(path):
    return json.loads((path / "member.json").read_text())


def score_head(path):
    return load_file(path / "model.safetensors")["score.weight"]


def test_accuracy_counts_ties_half():
    # right, wrong, tie: (1 + 0 + .5)/3
    assert pair_accuracy(torch.tensor([2.0, 1.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])) == 0.5
    assert pair_accuracy(torch.tensor([]), torch.tensor([])) is None


def test_the_same_recipe_trains_the_same_member_and_another_index_another(member, store, tmp_path):
    one = score_head(store.fetch(member(0), 0))
    assert torch.equal(one, score_head(Store(tmp_path).fetch(member(0), 0)))
    assert not torch.equal(one, score_head(store.fetch(member(1), 0)))


def test_scores_on_the_reference_set_have_mean_nought_and_spread_one(member, store):
    path = store.fetch(member(0), 0)
    loaded = load_member(path)
    z = loaded.z_scores(score_rows(loaded.model, loaded.reference).double())
    assert abs(z.mean()) < 1e-5 and abs(z.std(correction=0) - 1) < 1e-5


def test_the_scorer_sees_the_ids_that_the_member_was_trained_on(member, store):
    recipe = member(0)
    path = store.fetch(recipe, 0)
    tokenizer, model = pretrained(path).tokenizer(), load_reward_model(path)
    prompts, completions = read_reference_set(store.fetch(recipe.reference_set, 0))
    rows = RewardRows(recipe.model, prompts).rows(prompts, completions)
    assert rows == load_member(path).reference
    prompt_ids, prompt_mask = pack([encode_prompt(tokenizer, p.text) for p in prompts], 0)
    ids, mask = pack([encode_completion(tokenizer, c.text, c.ended) for c in completions], 0)
    scores = EnsembleMean(1).scorer(made_of([path])).member_scores(prompt_ids, prompt_mask, ids, mask)
    raw = score_tokens(model, *pack(rows, 0))
    torch.testing.assert_close(
        scores[0], (raw - model.config.score_mean) / model.config.score_std, rtol=1e-4, atol=1e-5
    )


def test_it_learns_what_the_judge_likes(member, store):
    accuracy = told(store.fetch(member(0, WordWorld(label_noise=0.0), num_epochs=8.0, num_pairs=64), 0))["accuracy"]
    assert accuracy["train_clean"] > 0.9 and accuracy["heldout"] >= 0.75 and accuracy["train_flipped"] is None


def test_member_0_takes_the_first_of_each_list_and_the_others_draw(member):
    numbers = {"learning_rate_factors": (1.0, 0.5, 2.0), "dropouts": (0.05, 0.1)}
    assert member(0, **numbers).drawn(seed=7) == (1e-2, 0.05)
    drawn = {member(i, **numbers).drawn(seed=7) for i in range(1, 30)}
    assert drawn == {(rate, dropout) for rate in (1e-2, 5e-3, 2e-2) for dropout in (0.05, 0.1)}


def test_dropout_is_set_while_training_and_put_back(base):
    model = pretrained(base).reward_trunk(base)
    with dropout_of(model, 0.3):
        assert {layer.self_attn.attention_dropout for layer in model.model.layers} == {0.3}
    assert {layer.self_attn.attention_dropout for layer in model.model.layers} == {0.0}


def test_dropout_changes_the_training(member, store):
    with_dropout, without = (store.fetch(member(0, dropouts=(p,)), 0) for p in (0.5, 0.0))
    assert not torch.equal(score_head(with_dropout), score_head(without))


def test_trunks_come_from_the_end_from_snapshots_or_from_runs(base):
    def trunks(**changes):
        recipes = [
            RewardMember(WordWorld(), pretrained(base), sft(snapshots=(0.5, 0.75)), reward_model(**changes), 0.25, i)
            for i in range(4)
        ]
        return [(policy.index, folder) for policy, folder in (recipe.trunk() for recipe in recipes)]

    assert trunks(trunks="last", num_trunks=2) == [(0, ".")] * 4
    assert trunks(trunks="runs", num_trunks=2) == [(0, "."), (1, "."), (0, "."), (1, ".")]
    # The latest first: the end, three quarters, half.
    assert trunks(trunks="snapshots", num_trunks=3) == [(0, "."), (0, "snapshot-1"), (0, "snapshot-0"), (0, ".")]


def test_a_loss_that_is_no_number_names_the_member_and_its_learning_rate(member, store):
    with pytest.raises(UserError, match=r"reward model 1: .* became (nan|inf) .*learning rate 1e\+30; lower"):
        store.fetch(member(1, learning_rate=1e30, num_epochs=4.0, learning_rate_factors=(1.0,)), 0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_and_scores(tmp_path, architecture):
    store, base = Store(tmp_path / "store"), save_model(tmp_path / "base", architecture)
    recipe = RewardMember(WordWorld(), pretrained(base), sft(), reward_model(num_pairs=8), 0.25, 0)
    path = store.fetch(recipe, 0)
    assert load_reward_model(path).config.architectures[0].endswith("ForSequenceClassification")
    assert 0 <= told(path)["accuracy"]["heldout"] <= 1


@pytest.mark.parametrize("chat", [False, True])
def test_a_reward_trunk_with_another_tokenizer_reads_the_text(tmp_path, base, chat):
    words = ("cat", "dog", "good", "bad", "say", "it", "now", "please", "sun", "sea", "user", "assistant")
    other = save_model(tmp_path / "other", "gpt_neox", word_tokenizer(bos=False, words=words), seed=3)
    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    model = pretrained(base, reward_path=str(other), chat_template=str(tmp_path / "chat.jinja"))
    store, recipe = (
        Store(tmp_path / "store"),
        RewardMember(WordWorld(chat=chat), model, sft(), reward_model(num_pairs=8), 0.25, 0),
    )
    path = store.fetch(recipe, 0)
    policy, reward = model.tokenizer(), model.reward_tokenizer()
    pair = read(store.fetch(recipe.pairs, 0) / "pairs.jsonl")[0]
    row = RewardRows(model, [pair.prompt]).row(pair.prompt, pair.chosen)
    text = " ".join(m[1] for m in pair.prompt.text) if chat else pair.prompt.text
    want = f"user {text} assistant" if chat else text
    assert row == encode_prompt(reward, want) + encode_completion(reward, pair.chosen.text, pair.chosen.ended)
    prompt_ids, prompt_mask = pack([encode_prompt(policy, pair.prompt.text)], 0)
    ids, mask = pack([encode_completion(policy, pair.chosen.text, pair.chosen.ended)], 0)
    loaded = load_member(path)
    scores = EnsembleMean(1).scorer(made_of([path])).member_scores(prompt_ids, prompt_mask, ids, mask)
    torch.testing.assert_close(scores[0], loaded.z_scores(score_rows(loaded.model, [row])))


def test_templates_that_differ_are_refused_before_training(tmp_path, base):
    tokenizer = word_tokenizer(bos=False, words=("cat", "user", "assistant"))
    tokenizer.chat_template = "user: " + TEMPLATE
    other = save_model(tmp_path / "other", "gpt_neox", tokenizer)
    policy_path = save_model(tmp_path / "policy", tokenizer=chatty())
    model = pretrained(policy_path, reward_path=str(other))
    with pytest.raises(UserError, match="chat template of the policy"):
        RewardRows(model, WordWorld(chat=True).prompts("train", 0))


def chatty():
    tokenizer = word_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_a_member_is_measured_where_models_are_asked_and_only_then_taken_to_the_cpu_to_be_saved(
    member, store, tmp_path, monkeypatch
):
    done = []

    def noting(name, real):
        def noted(*args):
            done.append(name)
            return real(*args)

        return noted

    recipe = member(0)
    for needed in (recipe.head, recipe.reference_set):
        store.fetch(needed, 0)  # which ask models of their own
    monkeypatch.setattr("rlx.supervised.member.on_device", noting("to the device", lambda model: model))
    monkeypatch.setattr("rlx.supervised.member.shared_scores", noting("asked", shared_scores))
    monkeypatch.setattr(torch.nn.Module, "cpu", noting("to the CPU", torch.nn.Module.cpu))
    recipe.build(tmp_path, store, 0)
    # The reference set; chosen and rejected of true, flipped and held-out pairs.
    assert done == ["to the device", *["asked"] * 7, "to the CPU"]
