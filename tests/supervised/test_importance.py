import json
from dataclasses import replace

import pytest
import torch
from word_world import GoodWords, WordWorld, completions

from rlx.attribution.shapley import shapley
from rlx.core.world import Prompt, without_factors
from rlx.model.score_head import load_reward_model, score_rows
from rlx.supervised.importance import FactorImportance, Reduced, agreement, orders
from rlx.supervised.pairs import Preference, read
from rlx.supervised.reward_rows import RewardRows

GROUPS = WordWorld.factor_groups


def reduced(*texts):
    chosen, rejected = texts[::2], texts[1::2]
    pairs = [
        Preference(Prompt(f"p{i}", "say it"), *completions(one, other))
        for i, (one, other) in enumerate(zip(chosen, rejected, strict=True))
    ]
    return Reduced(WordWorld(), pairs)


@pytest.fixture
def built(member, store):
    """What the artefact of two members says, and the members."""
    members = tuple(member(i, num_epochs=4.0) for i in range(2))
    recipe = FactorImportance(members, members[0].pairs, "heldout", 8, GROUPS)
    return json.loads((store.fetch(recipe, 0) / "importance.json").read_text()), members


def test_gold_counts_words_so_each_word_has_its_worth():
    # good is worth 1, bad -1; SD of the scores 2, 0, -1, -1 is sqrt(1.5).
    row = reduced("good good", "cat", "bad", "bad sun").row(
        "gold", reduced("good good", "cat", "bad", "bad sun").of_judge(GoodWords())
    )
    sd = 1.5**0.5
    assert row["attribution"] == pytest.approx({"good": 0.5 / sd, "bad": -0.5 / sd, "other": 0})
    assert row["importance"] == pytest.approx({"good": 0.5 / sd, "bad": 0.5 / sd, "other": 0})
    assert row["share"]["good"] == row["share"]["bad"] == pytest.approx(0.501 / 1.003)
    assert row["primary"] == ["good", "bad"]


def test_base_and_attributions_sum_to_the_score_of_every_model(built):
    found, _ = built
    assert [row["kind"] for row in found["rows"]] == ["member", "member", "mean", "warm", "gold"]
    assert all(row["efficiency"] < 1e-6 for row in found["rows"])
    assert all(sum(row["share"].values()) == pytest.approx(1) for row in found["rows"])
    assert found["texts"] == 8 and found["split"] == "heldout"


def test_a_member_is_scored_on_texts_whose_words_are_deleted(built, store):
    found, members = built
    pairs = read(store.fetch(members[0].pairs, 0) / "heldout.jsonl")[:4]
    texts = [(pair.prompt, c) for pair in pairs for c in (pair.chosen, pair.rejected)]
    model = load_reward_model(store.fetch(members[1], 0))
    rows = RewardRows(members[1].model, [prompt for prompt, _ in texts])
    values_SB = torch.empty(8, len(texts), dtype=torch.float64)
    for s, kept_G in enumerate(shapley(3).kept_SG.tolist()):
        gone = {group for group, kept in zip(GROUPS, kept_G, strict=True) if not kept}
        left = [replace(c, text=without_factors(WordWorld().factor_pieces(c.text), gone)) for _, c in texts]
        values_SB[s] = score_rows(
            model, [rows.row(prompt, c) for (prompt, _), c in zip(texts, left, strict=True)]
        ).double()
    want_G = shapley(3).phi(values_SB / values_SB[-1].std(correction=0)).mean(0)
    assert list(found["rows"][1]["attribution"].values()) == pytest.approx(
        [value for _, value in sorted(zip(GROUPS, want_G.tolist(), strict=True))], abs=1e-5
    )


def test_the_mean_of_scores_has_the_mean_of_attributions():
    values_SB = torch.randn(3, 8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phi = [shapley(3).phi(values) for values in values_SB]
    torch.testing.assert_close(shapley(3).phi(values_SB.mean(0)), torch.stack(phi).mean(0))


def test_a_text_that_is_left_twice_is_scored_once():
    # "cat": nothing is left of it by taking good or bad away. 2 texts: with and without its only group.
    assert len(reduced("cat", "good bad").distinct) == 2 + 4


def test_without_members_gold_alone_is_attributed(member, store):
    pairs = member(0).pairs
    found = json.loads(
        (store.fetch(FactorImportance((), pairs, "train", 4, GROUPS), 0) / "importance.json").read_text()
    )
    assert [row["kind"] for row in found["rows"]] == ["gold"] and found["agreement"] == {}


def test_the_property_fixes_orders_of_models_that_are_close_and_none_of_models_that_are_not():
    values_SB = 5 * shapley(3).kept_SG.double() @ torch.tensor([[3.0], [2.0], [0.0]]).double()
    assert orders([values_SB, values_SB + 1]) == {"orders": {"pairs": 3, "fixed": 3}}
    assert orders([values_SB, -values_SB])["orders"]["fixed"] == 0
    assert orders([values_SB]) == {}


def test_agreement_says_where_models_differ():
    rows = [{"share": {"good": 0.5, "bad": 0.3, "other": 0.2}}, {"share": {"good": 0.2, "bad": 0.3, "other": 0.5}}]
    found = agreement(rows, GROUPS)
    assert found["tau"] == -1 and found["range"] == pytest.approx({"good": 0.3, "bad": 0, "other": 0.3})
    assert agreement(rows[:1], GROUPS) == {}
