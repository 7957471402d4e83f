from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from two_threads import TwoThreads
from word_world import GoodWords

from rlx.artefact.store import Store
from rlx.engine.experience import RolloutModels
from rlx.engine.held_out import HeldOut
from rlx.engine.prompts import encode
from rlx.model.actor_critic import with_critic
from rlx.sampler.transformers import Transformers
from rlx.supervised.start_completions import StartCompletions, read_start_completions


@pytest.fixture
def recipe(policy):
    """Of five of the eight held-out prompts."""
    return StartCompletions(policy(), Transformers(6, 1.0, 4), "heldout", 5, False)


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """The number of completions of each draw."""
    found, own = [], Transformers.draw

    def counting(self, policy, ids, mask, seeds):
        found.append(len(seeds))
        return own(self, policy, ids, mask, seeds)

    monkeypatch.setattr(Transformers, "draw", counting)
    return found


def held_out(recipe, store, texts=()) -> HeldOut:
    """A measurement of word worlds that draws from the same start policy."""
    source = recipe.policy
    start = with_critic(source.model.policy(store.fetch(source, 0)).eval(), "none")
    nothing: Any = None
    tokenizer = source.model.tokenizer()
    actors = RolloutModels(start, nothing, recipe.sampler, 4, tokenizer, None)
    prompts = encode(tokenizer, source.world.prompts("heldout", 0), source.world.max_prompt_tokens)
    return HeldOut(prompts, actors, start, GoodWords(), [], texts)


def test_they_are_what_a_measurement_would_draw_itself_and_it_draws_nothing(recipe, store, drawn):
    texts = read_start_completions(store.fetch(recipe, 0))
    assert drawn[-1] == len(texts) == 5  # and no completion of the other three prompts
    own = held_out(recipe, store)._start_samples(range(5))
    del drawn[:]
    assert held_out(recipe, store, texts)._start_samples(range(5)) == own and drawn == []
    assert [sample.text.completion for sample in own] == [text.completion for text in texts]
    assert len({sample.gold for sample in own}) > 1  # which the run's own judge gives them


def test_a_measurement_on_more_prompts_draws_those_that_are_lacking(recipe, store, drawn):
    texts = read_start_completions(store.fetch(recipe, 0))
    del drawn[:]
    found = held_out(recipe, store, texts)._start_samples([0, 4, 5, 7])
    assert drawn == [2]
    assert found == held_out(recipe, store)._start_samples([0, 4, 5, 7])


def test_texts_of_other_prompts_are_not_taken(recipe, store):
    texts = read_start_completions(store.fetch(recipe, 0))
    with pytest.raises(AssertionError, match="other prompts"):
        held_out(recipe, store, texts[::-1])._start_samples([0])


def test_of_two_processes_each_draws_a_half_of_the_same_completions(recipe, store, monkeypatch):
    wanted = (store.fetch(recipe, 0) / "completions.jsonl").read_bytes()
    two, drawn, own = TwoThreads(monkeypatch), Counter(), Transformers.draw

    def counting(self, policy, ids, mask, seeds):
        drawn[two.own.rank] += len(seeds)
        return own(self, policy, ids, mask, seeds)

    monkeypatch.setattr(Transformers, "draw", counting)
    stores = [Store(store.root) for _ in range(2)]

    def build(rank):
        (folder := store.root / f"start-of-{rank}").mkdir()
        recipe.build(folder, stores[rank], 0)
        return (folder / "completions.jsonl").read_bytes()

    assert two.both(build) == [wanted, wanted]
    assert drawn == {0: 3, 1: 2}


def test_a_policy_with_masters_is_drawn_from_as_it_computes_beside_them(recipe, store, tmp_path, monkeypatch):
    seen = []
    own = Transformers.draw

    def noting(self, policy, *asked):
        seen.append((torch.is_autocast_enabled("cpu"), policy.get_input_embeddings().weight.dtype))
        return own(self, policy, *asked)

    source = replace(recipe.policy, model=replace(recipe.policy.model, dtype="bfloat16"))
    store.fetch(source, 0)
    monkeypatch.setattr(Transformers, "draw", noting)
    for masters in (True, False):
        (folder := tmp_path / str(masters)).mkdir()
        replace(recipe, policy=source, masters=masters).build(folder, store, 0)
    assert seen == [(True, torch.float32), (False, torch.bfloat16)]
