"""Artefacts of a model in bfloat16: learnt in mixed precision, on CPUs as on GPUs, and kept in bfloat16."""

import json

import pytest
import torch
from safetensors.torch import load_file
from word_world import WordWorld, pretrained, reward_model, sft

from rlx.artefact.store import Store
from rlx.model.score_head import load_reward_model, score_rows
from rlx.reward._ensemble import load_member
from rlx.supervised import trl_trainers
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.sft import SFTPolicy

RANKS = pytest.mark.parametrize("rank", [0, 2])


def member(base, rank=0, **numbers) -> RewardMember:
    model = pretrained(base, dtype="bfloat16", lora_rank=rank)
    return RewardMember(WordWorld(), model, sft(), reward_model(**numbers), 0.25, 0)


def base_of(path) -> str:
    """The folder of the weights that a reward model has beside what it learnt: its own, or its base's."""
    address = path / "base.json"
    return json.loads(address.read_text())["path"] if address.is_file() else path.name


@pytest.fixture
def learnt(monkeypatch):
    """What TRL's trainers had learnt when they had, before it is merged and rounded: each one's {name: weights}."""
    seen, train = [], trl_trainers._train

    def watched(trainer, *rest) -> None:
        train(trainer, *rest)
        assert trainer.accelerator.mixed_precision == "bf16" and trainer.accelerator.native_amp
        moments = [x for state in trainer.optimizer.state.values() for x in state.values() if x.dim()]
        assert moments and {x.dtype for x in moments} == {torch.float32}
        seen.append({name: x.detach().clone() for name, x in trainer.model.named_parameters() if x.requires_grad})

    monkeypatch.setattr(trl_trainers, "_train", watched)
    return seen


@RANKS
def test_policies_learn_in_float32_under_autocast_and_are_saved_in_bfloat16(base, store, tmp_path, learnt, rank):
    recipe = SFTPolicy(WordWorld(), pretrained(base, dtype="bfloat16", lora_rank=rank), sft(), 0)
    recipe.build(tmp_path, store, 0)
    assert {x.dtype for x in learnt[0].values()} == {torch.float32}
    assert {x.dtype for x in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


@RANKS
def test_reward_models_too_with_their_heads(base, tmp_path, learnt, rank):
    path = Store(tmp_path).fetch(member(base, rank), 0)
    assert {x.dtype for x in learnt[-1].values()} == {torch.float32}
    # Adapters and their head are saved as they were learnt; a whole model is rounded.
    name, dtype = ("adapter_model", torch.float32) if rank else ("model", torch.bfloat16)
    assert {x.dtype for x in load_file(path / f"{name}.safetensors").values()} == {dtype}
    assert {x.dtype for x in load_file(path.parent / base_of(path) / "model.safetensors").values()} == {torch.bfloat16}


def test_a_head_beside_adapters_moves_by_steps_that_bfloat16_would_round_to_nothing(base, store, tmp_path, learnt):
    """Weights near .1 of bfloat16 lie 2^-11 = .0005 apart: steps of 1e-5 would leave them where they were."""
    start = load_file(store.fetch(member(base, 2).head, 0) / "head.safetensors")["score.weight"].bfloat16().float()
    member(base, 2, learning_rate=1e-5).build(tmp_path, store, 0)
    (head,) = [x for name, x in learnt[-1].items() if "score.modules_to_save" in name]
    assert (head != start).float().mean() > 0.9


@RANKS
def test_a_members_scale_is_that_of_the_scores_it_gives_when_it_is_loaded(base, store, rank):
    """Measured by the model that was trained, before it was saved: the same to the bit, positions included."""
    path = store.fetch(member(base, rank), 0)
    loaded = load_member(path)
    scores = score_rows(load_reward_model(path), loaded.reference).double()
    assert (loaded.mean, loaded.std) == (float(scores.mean()), float(scores.std(correction=0)))
