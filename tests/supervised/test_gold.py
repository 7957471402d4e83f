import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification
from word_world import GoodWords, WordWorld, completions, pretrained, reward_model, save_model, sft, word_tokenizer

from rlx.core.error import UserError
from rlx.core.world import Prompt
from rlx.supervised.gold import GoldModel, GoldOnPairs, RewardModelJudge, gold_judge

PROMPTS = [Prompt("0", "say cat"), Prompt("1", "say dog")]


def test_a_world_with_a_judge_keeps_it(base, store):
    judge = gold_judge(WordWorld(), pretrained(base), sft(), reward_model(), store, 0)
    assert isinstance(judge, GoodWords)


def test_gold_is_learnt_from_the_gold_pairs(base, store):
    numbers = reward_model(num_epochs=20.0)
    judge = gold_judge(WordWorld(given=True), pretrained(base), sft(), numbers, store, 0)
    good, bad = judge.score(PROMPTS, completions("good cat", "bad cat"))
    assert good > bad and judge.factors(PROMPTS, completions("good", "bad")) == [{}, {}]


def test_gold_has_no_label_noise_and_is_no_member(base, store):
    recipe = GoldModel(WordWorld(given=True, label_noise=0.5), pretrained(base), sft(), reward_model())
    assert '"flipped_pairs": 0' in (store.fetch(recipe, 0) / "member.json").read_text()


def test_a_given_checkpoint_scores_in_its_own_unit(tmp_path):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        save_model(tmp_path / "base"), num_labels=1, pad_token_id=0
    )
    model.save_pretrained(tmp_path / "gold")
    word_tokenizer().save_pretrained(tmp_path / "gold")
    judge = RewardModelJudge(tmp_path / "gold", "world.gold")
    want = model.eval()(torch.tensor([[1, 4, 10, 8, 10, 2]])).logits.item()
    assert judge.score(PROMPTS[:1], completions("good cat")) == [pytest.approx(want, abs=1e-6)]


def test_a_given_checkpoint_without_a_head_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"world.gold=.* no score head"):
        RewardModelJudge(save_model(tmp_path), "world.gold")


def test_gold_is_measured_on_the_members_held_out_pairs(base, store, member):
    numbers = reward_model(num_epochs=20.0)
    pairs = member(world=WordWorld(given=True), num_epochs=20.0).pairs
    row = json.loads((store.fetch(GoldOnPairs(pairs, None, numbers), 0) / "gold.json").read_text())
    # Of "good cat" and "bad cat" it knows the better one; the longer one does, too.
    assert row["accuracy"] == {"heldout": 1.0} and row["pairs_measured"] == {"heldout": 8}
    assert row["over_longer"]["value"] == 0


def test_gold_is_not_trained_on_fewer_pairs_than_are_asked_for(base, store):
    class Demanding(WordWorld):
        def to_train_on(self, whose, fitting):
            raise UserError(f"{len(fitting)} pairs for {whose} are too few")

    with pytest.raises(UserError, match="8 pairs for gold are too few"):
        store.fetch(GoldModel(Demanding(given=True), pretrained(base), sft(), reward_model()), 0)
