"""The start policy's completions among a cell's artefacts: shared by all cells that start alike, and no more than are read."""

import json
import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rlx.artefact.store import Store, address
from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.settings import settings_of
from rlx.experiment.cell import cell_of
from rlx.sampler.transformers import Transformers

MINIATURE = shlex.split(
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 num_steps=2 evaluation.interval=2 "
    "evaluation.num_prompts=8 evaluation.final_num_prompts=16 tracker=jsonl"
)


def cell(*words):
    return cell_of(checked(compose(list(words))[0].config))


def start(*words) -> str:
    one = cell(*words)
    assert one.recipes()["start completions"] == one.start_completions()
    return address(one.start_completions(), 0)


def test_cells_that_start_alike_share_them_and_others_do_not():
    own = start()
    alike = (
        "seed=1 reward=warm reference=soup optimizer=superhf num_steps=20 regularizer=chi2 evaluation.num_prompts=64"
    )
    assert start(*alike.split(), "world.label_noise=0.4", "checkpoint.keep_best=gold") == own
    for word in ("sampler.temperature=0.7", "sft.num_epochs=1", "evaluation.final_num_prompts=64"):
        assert start(word) != own


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ([], 256),  # the final measurement's
        (["evaluation.num_prompts=300"], 300),
        (["optimizer=bon"], 128),  # which has no measurement but those of evaluation.num_prompts
        (["optimizer=bon", "optimizer.distill=true"], 256),
    ],
)
def test_as_many_are_drawn_as_a_measurement_reads(words, number):
    assert cell(*words).start_completions().num_prompts == number


def test_a_policy_of_bfloat16_that_learns_with_masters_is_measured_against_itself():
    def masters(casts_weights=False, optimizer="ppo", **model: Any) -> bool:
        one = cell(f"optimizer={optimizer}")
        recipe: Any = SimpleNamespace(lora=lambda task: model.get("lora"), dtype=model.get("dtype", "bfloat16"))
        compute: Any = SimpleNamespace(casts_weights=casts_weights)
        return replace(one, model=recipe, compute=compute).start_completions().masters

    assert masters()
    assert not masters(dtype="float32") and not masters(lora="adapters") and not masters(casts_weights=True)
    assert not masters(optimizer="bon")  # where nothing learns


def test_a_measurement_after_training_takes_the_most_that_are_there_and_builds_none(monkeypatch, tmp_path):
    one = replace(cell(f"cache_dir={tmp_path}"))
    own = settings_of(checked(compose(["evaluation.final_num_prompts=512"])[0].config))
    assert one.start_completions_there(own) == {} and not list(tmp_path.iterdir())
    there = {128, 512}
    monkeypatch.setattr(Store, "has", lambda self, recipe, seed: recipe.num_prompts in there)
    monkeypatch.setattr(Store, "fetch", lambda self, recipe, seed: recipe.num_prompts)
    assert one.start_completions_there(own) == {"start completions": 512}
    assert one.start_completions_there(one.settings) == {"start completions": 128}


@pytest.mark.slow
def test_a_second_cell_draws_no_start_completion_and_no_cell_draws_one_that_it_does_not_read(tmp_path, monkeypatch):
    words = [*MINIATURE, f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}"]
    assert main(["train", *words, "seed=0", "name=first"]) == 0
    (drawn,) = (tmp_path / "cache").glob("StartCompletions-*/completions.jsonl")
    texts = [json.loads(line) for line in drawn.read_text().splitlines()]
    assert len(texts) == 16
    found, own = [], Transformers.draw

    def counting(self, policy, ids, mask, seeds):
        found.append(len(seeds))
        return own(self, policy, ids, mask, seeds)

    monkeypatch.setattr(Transformers, "draw", counting)
    assert main(["train", *words, "seed=1", "name=second"]) == 0
    # Two rollouts of 8, measurements on 8 before and after them, and the final one on 16.
    assert sorted(found) == [8, 8, 8, 8, 16]
    run = tmp_path / "runs" / "second-seed1"
    rows = [json.loads(line) for line in (run / "final_samples.jsonl").read_text().splitlines()]
    told = [(r["prompt_id"], r["start_completion"], r["start_ended"], r["start_length"]) for r in rows]
    assert told == [(t["prompt_id"], t["completion"], t["ended"], t["length"]) for t in texts]
    for more, drawn_now in ((["evaluation.num_prompts=12"], [12]), (["sampler.temperature=0.5"], [16, 16])):
        del found[:]
        assert main(["evaluate", str(run), *more]) == 0
        assert found == drawn_now
