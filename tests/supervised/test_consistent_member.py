import copy
import json
from dataclasses import replace

import pytest
import torch
from word_world import WordWorld, consistent

from rlx.artefact.store import address
from rlx.attribution.consistent import consistency_loss
from rlx.attribution.importance import in_reverse
from rlx.attribution.shapley import first_and_last
from rlx.core.error import UserError
from rlx.model.score_head import load_reward_model, score_rows
from rlx.supervised.consistent_member import ConsistentRewardMember
from rlx.supervised.importance import FactorImportance
from rlx.supervised.importance_penalty import ImportancePenalty, shares_of
from rlx.supervised.pairs import read
from rlx.supervised.reward_rows import RewardRows

GROUPS = WordWorld.factor_groups


@pytest.fixture
def held(member):
    """held(**changes of the penalty): member 0 with the penalty."""

    def make(plain=None, **changes) -> ConsistentRewardMember:
        plain = plain or member(0, num_epochs=4.0)
        return ConsistentRewardMember(*vars(plain).values(), plain, consistent(**changes))

    return make


@pytest.fixture
def penalty(held, store):
    """A penalty with gold's reference, the rows of its texts, and a reward model."""
    recipe = held(reference="gold", num_texts=3)
    pairs = read(store.fetch(recipe.pairs, 0) / "pairs.jsonl")
    model = load_reward_model(store.fetch(recipe.plain, 0))
    return recipe.penalty(store, 0), RewardRows(recipe.model, [pair.prompt for pair in pairs]), model


def test_the_penalty_is_the_loss_of_the_models_scores_on_texts_with_groups_deleted(penalty):
    found, rows, model = penalty
    ids, places_SB = found.batch(rows, 0)
    values_SB = score_rows(model, ids)[places_SB]
    want = found.numbers.weight * consistency_loss(values_SB, found.reference_G.float(), found.numbers.eps)
    assert float(found.loss(model, rows, 0)) == pytest.approx(float(want), rel=1e-4)
    # The last coalition is the whole completions of the first pairs, chosen and rejected in turn.
    whole = [
        rows.row(found.pairs[i // 2].prompt, (found.pairs[i // 2].chosen, found.pairs[i // 2].rejected)[i % 2])
        for i in range(3)
    ]
    assert [ids[place] for place in places_SB[-1].tolist()] == whole
    assert places_SB.shape == (len(first_and_last(3).kept_SG), 3)


def test_batches_go_through_the_texts_in_order_and_come_round_again(penalty):
    found, rows, _ = penalty
    num = 2 * len(found.pairs)
    firsts = [found.batch(rows, k)[0] for k in range(num)]
    assert firsts[0] != firsts[1]
    again = found.batch(rows, num)[0]  # num x 3 texts later
    assert again == firsts[0]


def test_it_draws_no_random_number_and_leaves_the_model_as_it_was(penalty):
    found, rows, model = penalty
    model = copy.deepcopy(model).requires_grad_(True).train()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, other = found.loss(model, rows, 0), found.loss(model, rows, 0)
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert torch.equal(one, other)  # no dropout in it
    one.backward()
    assert any(float(p.grad.abs().sum()) > 0 for p in model.parameters() if p.grad is not None)


def test_a_penalty_draws_importance_to_its_reference(held, store):
    prior = (1.0, 8.0, 1.0)
    gaps = []
    for weight in (1e-9, 3.0):
        recipe = held(reference="given", prior=prior, weight=weight, num_texts=16, begin=0.0)
        one = FactorImportance((recipe,), recipe.pairs, "train", 16, GROUPS)
        share_G = shares_of(json.loads((store.fetch(one, 0) / "importance.json").read_text()), "member")
        gaps.append(sum(abs(a - b / 10) for a, b in zip(share_G, prior, strict=True)))
    assert gaps[1] < 0.6 * gaps[0]


def test_member_json_says_what_the_model_was_held_to(held, store):
    recipe = held(reference="gold")
    made = json.loads((store.fetch(recipe, 0) / "member.json").read_text())
    gold = json.loads((store.fetch(recipe.reference, 0) / "importance.json").read_text())
    assert list(made["held_to"].values()) == pytest.approx(
        [value for _, value in sorted(zip(GROUPS, shares_of(gold, "gold"), strict=True))]
    )
    plain = json.loads((store.fetch(recipe.plain, 0) / "member.json").read_text())
    assert "held_to" not in plain


def test_the_reference_of_members_is_the_mean_of_plain_ones_on_training_texts(held, store):
    recipe = held(reference="members")
    assert [type(m).__name__ for m in recipe.reference.members] == ["RewardMember"] * 2
    assert recipe.reference.split == "train"
    found = json.loads((store.fetch(recipe.reference, 0) / "importance.json").read_text())
    mean_G = [sum(row["share"][g] for row in found["rows"][:2]) / 2 for g in GROUPS]
    torch.testing.assert_close(recipe.penalty(store, 0).reference_G, torch.tensor(mean_G, dtype=torch.float64))
    assert {"reward model 0, without the penalty", "reference importance"} <= set(recipe.made_from())


def test_the_wrong_reference_is_golds_in_reverse(held, store):
    right, wrong = (held(reference=kind).penalty(store, 0).reference_G.tolist() for kind in ("gold", "wrong"))
    assert wrong == in_reverse(right) != right


def test_a_world_that_names_no_groups_or_has_no_judge_is_refused(held, member, store):
    given = held(plain=member(0, WordWorld(given=True)), reference="gold")
    with pytest.raises(UserError, match=r"attribution\.reference=gold: this world has no judge that is a program"):
        given.penalty(store, 0)
    with pytest.raises(UserError, match="the world has no groups of factors"):
        replace(held(), world=object()).penalty(store, 0)  # pyright: ignore


def test_each_setting_is_a_part_of_the_address_and_the_plain_member_keeps_its_own(held):
    one = held()
    assert (
        len({address(held(**change), 0) for change in ({}, {"weight": 2.0}, {"reference": "gold"}, {"begin": 0.5})})
        == 4
    )
    assert address(one.plain, 0) != address(one, 0)
    assert address(one.pairs, 0) == address(one.plain.pairs, 0) and address(one.head, 0) == address(one.plain.head, 0)
    assert isinstance(ImportancePenalty.held_to, property)
