import json

import pytest
import torch
from safetensors.torch import load_file
from word_world import WordWorld, pretrained, reward_model, sft

from rlx.artefact.store import Store, canonical
from rlx.cleaner.bilevel import Bilevel
from rlx.cleaner.oracle import Oracle
from rlx.core.error import UserError
from rlx.supervised.cleaned_member import CleanedRewardMember
from rlx.supervised.pairs import read
from rlx.supervised.reward_model import RewardMember

CLEANER = Bilevel(
    num_trusted=3, features="trunk", l2=1e-2, loop="double", start="even", num_steps=20, num_inner=3, batch_size=None,
    weight_step=1.0, score_step=1.0, first_sigma=1.0, last_sigma=0.1, momentum=0.9,
)  # fmt: skip


@pytest.fixture
def cleaned(base):
    """cleaned(cleaner, index, given, **changes of the reward model's numbers)"""

    def make(cleaner=CLEANER, index: int = 0, given: bool = False, **changes) -> CleanedRewardMember:
        world, model = WordWorld(given=given), pretrained(base)
        return CleanedRewardMember(world, model, sft(), reward_model(**changes), 0.25, index, cleaner, given)

    return make


@pytest.fixture
def plain(base):
    return RewardMember(WordWorld(), pretrained(base), sft(), reward_model(), 0.25, 0)


def told(path, name: str = "cleaning.json"):
    return json.loads((path / name).read_text())


def test_a_cleaned_member_is_trained_on_the_pairs_of_the_plain_one_with_other_weights(cleaned, plain, store):
    recipe = cleaned(Oracle(6, "trunk", 1e-2))
    assert recipe.pairs == plain.pairs and recipe.uncleaned == plain
    one, other = (store.fetch(member, 0) for member in (plain, recipe))
    heads = [load_file(path / "model.safetensors")["score.weight"] for path in (one, other)]
    assert not torch.equal(*heads)
    assert told(other, "member.json")["pairs"] == 16


def test_weights_of_one_make_the_plain_member_bit_for_bit(cleaned, plain, store, monkeypatch):
    monkeypatch.setattr(Oracle, "weights", lambda self, evidence, advance: torch.ones(len(evidence.flipped_B)).double())
    recipe = cleaned(Oracle(3, "trunk", 1e-2))
    one, other = (load_file(store.fetch(m, 0) / "model.safetensors") for m in (plain, recipe))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_weights_of_the_loss_have_mean_one_and_the_oracles_leave_the_flips_out(cleaned, store):
    recipe = cleaned(Oracle(4, "trunk", 1e-2))
    weights = recipe.weights(store, 0)
    pairs = read(store.fetch(recipe.pairs, 0) / "pairs.jsonl")
    assert sum(weights) == pytest.approx(16)
    # 4 of 16 are flipped: the 12 others count 16 / 12.
    assert [round(w, 9) for w in weights] == [0.0 if p.flipped else round(4 / 3, 9) for p in pairs]


def test_the_artefact_tells_what_it_found_beside_its_baselines(cleaned, store):
    path = store.fetch(cleaned().pair_weights, 0)
    found = told(path)
    assert (found["pairs"], found["trusted"], found["flipped"]) == (16, 3, 4)
    assert set(found["heldout"]) == {
        "noisy",
        "trusted",
        "noisy_and_trusted",
        "ensemble",
        "cleaned",
        "small_loss",
        "oracle",
    }
    assert {"weights", "small_loss", "trusted_loss", "oracle_loss", "prior_f1"} == set(found["flips"])
    assert found["flips"]["prior_f1"] == pytest.approx(2 * 0.75 / 1.75)
    weights = load_file(path / "weights.safetensors")["weights"]
    rows = [json.loads(line) for line in (path / "weights.jsonl").read_text().splitlines()]
    assert [row["weight"] for row in rows] == weights.tolist() and sum(row["flipped"] for row in rows) == 4
    shown = found["most_distrusted"]
    assert len(shown) == 8 and shown[0]["weight"] == float(weights.min())
    assert [row["weight"] for row in shown] == sorted(row["weight"] for row in shown)


def test_without_flips_there_is_nothing_to_find_and_no_oracle(cleaned, base, store):
    recipe = CleanedRewardMember(WordWorld(), pretrained(base), sft(), reward_model(), 0.0, 0, CLEANER, False)
    found = told(store.fetch(recipe.pair_weights, 0))
    assert found["flips"] is None and "oracle" not in found["heldout"]


def test_features_of_a_member_are_those_of_the_plain_one(cleaned, plain, store):
    one, other = (cleaned(Oracle(3, features, 1e-2)) for features in ("trunk", "member"))
    assert other.pair_weights.source == plain and one.pair_weights.source == plain.trunk()[0]
    assert "reward model 0, uncleaned" in other.made_from() and "reward model 0, uncleaned" not in one.made_from()
    assert told(store.fetch(one.pair_weights, 0))["heldout"] != told(store.fetch(other.pair_weights, 0))["heldout"]


def test_of_a_world_that_gives_pairs_the_trusted_ones_are_not_trained_on(cleaned, store):
    recipe = cleaned(given=True, num_pairs=8)
    assert told(store.fetch(recipe, 0), "member.json")["pairs"] == 5
    trusted = {p.prompt.id for p in read(store.fetch(recipe.trusted, 0) / "trusted.jsonl")}
    trained = {p.prompt.id for p in read(store.fetch(recipe.pairs, 0) / "pairs.jsonl")}
    assert len(trusted) == 3 and not trusted & trained
    # The baseline without weights is trained on the same 5.
    assert (
        recipe.uncleaned.pairs == recipe.pairs and told(store.fetch(recipe.uncleaned, 0), "member.json")["pairs"] == 5
    )


def test_more_trusted_pairs_than_there_are_is_one_line(base, store):
    world = WordWorld(given=True)
    cleaner = Oracle(8, "trunk", 1e-2)
    recipe = CleanedRewardMember(world, pretrained(base), sft(), reward_model(), 0.25, 0, cleaner, True)
    with pytest.raises(UserError, match=r"cleaner.num_trusted=8: there are 8 training pairs"):
        store.fetch(recipe.pair_weights, 0)


def test_weights_that_leave_nothing_are_refused(cleaned, store, monkeypatch):
    monkeypatch.setattr(
        Oracle, "weights", lambda self, evidence, advance: torch.zeros(len(evidence.flipped_B)).double()
    )
    with pytest.raises(UserError, match="every pair has weight 0"):
        store.fetch(cleaned(Oracle(5, "trunk", 1e-2)).pair_weights, 0)


def test_all_members_of_a_cleaned_reward_share_one_set_of_weights_and_no_plain_recipe_knows_of_it(cleaned, plain):
    assert cleaned(index=0).pair_weights == cleaned(index=3).pair_weights
    text = json.dumps(canonical(plain))
    assert "lean" not in text.replace("CleanPairs", "") and "weights" not in text


def test_adapters_learn_from_weighed_pairs_too(base, store):
    model, cleaner = pretrained(base, lora_rank=2), Oracle(3, "trunk", 1e-2)
    fields = (WordWorld(), model, sft(), reward_model(num_epochs=4.0), 0.25, 0)
    plain, weighed = RewardMember(*fields), CleanedRewardMember(*fields, cleaner, False)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    one, other = (load_file(store.fetch(member, 0) / "adapter_model.safetensors")[name] for member in (plain, weighed))
    assert not torch.equal(one, other)


def test_weights_are_the_same_whether_they_are_built_by_themselves_or_on_the_way_to_a_member(cleaned, tmp_path, store):
    recipe = cleaned(index=1)
    own = Store(tmp_path)
    own.fetch(recipe, 0)
    one, other = (load_file(s.fetch(recipe.pair_weights, 0) / "weights.safetensors")["weights"] for s in (store, own))
    assert torch.equal(one, other) and len(set(one.tolist())) > 1
