"""Pools: what was drawn is kept whole, grows without changing, and every number about it stands at its completion."""

import json
from dataclasses import replace

import pytest
import torch
from made_of import made_of
from word_world import WordWorld, reward_model

from rlx.core.seed import seed_of
from rlx.engine.forward import logprobs_of
from rlx.model.actor_critic import with_critic
from rlx.reference.frozen import Frozen
from rlx.reward.ensemble_mean import EnsembleMean
from rlx.reward.single import Single
from rlx.reward.warm import WARM
from rlx.sampler.transformers import Transformers
from rlx.supervised.drawing import draw
from rlx.supervised.pool import (
    Pool,
    PoolGold,
    PoolLogps,
    PoolScores,
    read_completions,
    read_factors,
    read_numbers,
    read_pool,
    token_batches,
)


@pytest.fixture
def pool(policy):
    """pool(num_samples, **changes)"""

    def make(num_samples: int = 6, **changes) -> Pool:
        numbers = dict(
            policy=policy(),
            sampler=Transformers(6, 1.0, 8),
            split="heldout",
            num_prompts=5,
            num_samples=num_samples,
            seed=0,
        )
        return Pool(**numbers | changes)  # pyright: ignore

    return make


def test_a_pool_holds_ids_texts_and_ends_of_every_completion_prompt_by_prompt(pool, store):
    directory = store.fetch(pool(), 0)
    drawn, (prompts, completions) = read_pool(directory), read_completions(directory)
    assert len(drawn.rows()) == len(completions) == 5 * 6
    assert [p.id for p in prompts[::6]] == [p.id for p in WordWorld().prompts("heldout", 0)[:5]]
    for row, ended, completion in zip(drawn.rows(), drawn.ended_B.tolist(), completions, strict=True):
        assert completion.ended == ended == (row[-1] == 2)  # </s>
        assert len(completion.text.split()) <= len(row) <= 6
    assert not list(directory.glob("*.pt")) and not list(directory.glob("*.pkl"))


def test_a_small_pool_is_the_beginning_of_a_large_one_and_another_seed_draws_another(pool, store):
    small, large, other = (read_pool(store.fetch(p, 0)).rows() for p in (pool(3), pool(6), pool(6, seed=1)))
    for prompt in range(5):
        for k in range(3):
            assert torch.equal(small[prompt * 3 + k], large[prompt * 6 + k])
    assert any(not torch.equal(a, b) for a, b in zip(large, other, strict=True))


def test_the_first_of_each_prompt_is_what_the_start_policy_writes_at_every_measurement(pool, policy, store):
    _, completions = read_completions(store.fetch(pool(), 0))
    model = policy().model.policy(store.fetch(policy(), 0))
    prompts = WordWorld().prompts("heldout", 0)[:5]
    seeds = [seed_of("held out", prompt.id) for prompt in prompts]
    assert draw(model, policy().model.tokenizer(), prompts, seeds, Transformers(6, 1.0, 64)) == completions[::6]


def test_batches_have_every_completion_once_beside_its_own_prompt(pool, store):
    recipe = pool()
    drawn, prompts = read_pool(store.fetch(recipe, 0)), recipe.encoded(0)
    seen = []
    for places, (prompt_ids, prompt_mask, ids, mask) in token_batches(prompts, drawn):
        for b, place in enumerate(places.tolist()):
            assert prompt_ids[b][prompt_mask[b]].tolist() == list(prompts.ids[place // 6])
            assert torch.equal(ids[b][mask[b]], drawn.rows()[place])
        seen += places.tolist()
    assert sorted(seen) == list(range(30))


def test_scores_stand_at_their_completions_member_by_member(pool, member, store):
    recipe, members = pool(), (member(0), member(1))
    apart = [read_numbers(store.fetch(PoolScores(recipe, Single(0), (m,)), 0), "scores") for m in members]
    scorer = EnsembleMean(2).scorer(made_of([store.fetch(m, 0) for m in members]))
    drawn, prompts = read_pool(store.fetch(recipe, 0)), recipe.encoded(0)
    for place in (0, 7, 29):
        ids = drawn.rows()[place][None]
        prompt = torch.tensor(prompts.ids[place // 6])[None]
        alone = scorer.member_scores(prompt, torch.ones_like(prompt).bool(), ids, torch.ones_like(ids).bool())
        assert torch.stack([a[0, place] for a in apart]).tolist() == pytest.approx(alone[:, 0].tolist(), abs=1e-5)


def test_averaged_weights_score_as_one_model(pool, member, store):
    recipe, members = pool(), (member(0), member(1))
    scores = read_numbers(store.fetch(PoolScores(recipe, WARM(2), members), 0), "scores")
    assert scores.shape == (1, 30) and scores.isfinite().all()


def test_log_probabilities_are_those_of_whole_completions_under_the_policy(pool, policy, store):
    recipe = pool()
    logps = read_numbers(store.fetch(PoolLogps(recipe, Frozen(), (policy(),), rows=4), 0), "logps")
    model = with_critic(policy().model.policy(store.fetch(policy(), 0)), "none")
    drawn, prompts = read_pool(store.fetch(recipe, 0)), recipe.encoded(0)
    for place in (0, 13, 29):
        ids, prompt = drawn.rows()[place][None], torch.tensor(prompts.ids[place // 6])[None]
        said = logprobs_of(model, prompt, torch.ones_like(prompt).bool(), ids, torch.ones_like(ids).bool(), 1.0, 1)
        assert logps[place].item() == pytest.approx(said.logps_BT.sum().item(), abs=1e-4)


def test_gold_is_the_judges_of_the_texts(pool, store):
    recipe = pool()
    gold = read_numbers(store.fetch(PoolGold(recipe, None, None), 0), "gold")
    assert gold.tolist() == WordWorld().judge().score(*read_completions(store.fetch(recipe, 0)))  # pyright: ignore
    assert read_factors(store.fetch(PoolGold(recipe, None, None), 0)) == {}  # this judge names none


def test_where_the_world_has_no_judge_gold_is_a_reward_model_of_its_own(pool, policy, store):
    drawer = replace(policy(), world=WordWorld(given=True))
    gold = read_numbers(store.fetch(PoolGold(pool(policy=drawer), None, reward_model()), 0), "gold")
    assert gold.shape == (30,) and gold.isfinite().all() and gold.std() > 0


def test_another_reward_is_another_artefact_of_the_same_pool(pool, member, store):
    one, other = PoolScores(pool(), Single(0), (member(0),)), PoolScores(pool(), WARM(2), (member(0), member(1)))
    assert store.path(one, 0) != store.path(other, 0)
    manifest = json.loads((store.fetch(one, 0) / "manifest.json").read_text())
    assert manifest["recipe"][0] == "PoolScores"
