"""A training that is stopped or killed goes on from its last checkpoint, to the very weights of an undisturbed one."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback
from word_world import WordWorld, consistent, pretrained, reward_model, sft

from rlx.artefact.store import MANIFEST, Store, TrainingContext
from rlx.core.error import UserError
from rlx.process import interruption
from rlx.process.stop import Stopped
from rlx.supervised import trl_trainers
from rlx.supervised.consistent_member import ConsistentRewardMember
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.sft import SFTPolicy


def recipe(kind: str, base):
    """Of several passes; a snapshot before and one after what the tests do at update 5."""
    if kind == "SFT policy":
        return SFTPolicy(WordWorld(), pretrained(base), sft(num_epochs=4.0, snapshots=(0.2, 0.9)), 0)
    changes = dict(dropouts=(0.1,), num_epochs=4.0, batch_size=8, micro_batch_size=4)
    if kind == "adapters":
        return RewardMember(WordWorld(), pretrained(base, lora_rank=2), sft(), reward_model(**changes), 0.0, 0)
    plain = RewardMember(WordWorld(), pretrained(base), sft(), reward_model(**changes), 0.0, 0)
    if kind == "held to a reference":
        return ConsistentRewardMember(*vars(plain).values(), plain, consistent(reference="gold"))
    return plain


def prepared(root, recipe, minutes):
    """A store with all that `recipe` is trained on."""
    store = Store(root, partial(TrainingContext, minutes=minutes))
    if isinstance(recipe, RewardMember):
        for needed in (recipe.pairs, recipe.head, recipe.reference_set):
            store.fetch(needed, 0)
    return store


def weights(path):
    return {file.relative_to(path): load_file(file) for file in sorted(path.rglob("model.safetensors"))}


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(
        one[file].keys() == other[file].keys()
        and all(torch.equal(x, other[file][name]) for name, x in one[file].items())
        for file in one
    )


@dataclass
class At(TrainerCallback):
    """Does something in the middle of update 6."""

    what: Callable[[], None]

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 5:
            self.what()


def kill():
    """As SIGKILL ends it: nothing is saved on the way out."""
    raise MemoryError("killed")


@contextmanager
def disturbed(what):
    """Inside, `what` happens in the middle of trainings."""

    def train(trainer, *rest, real=trl_trainers._train):
        trainer.add_callback(At(what))
        real(trainer, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl_trainers, "_train", train)
        yield


@pytest.fixture
def listening():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    hook = sys.unraisablehook
    interruption.listen()
    yield
    interruption.listen()  # forgets
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("kind", ["SFT policy", "reward model", "adapters", "held to a reference"])
def test_a_killed_training_goes_on_from_its_last_checkpoint_to_the_same_weights(kind, base, store, tmp_path, caplog):
    wanted = recipe(kind, base)
    half = prepared(tmp_path, wanted, minutes=0)
    with disturbed(kill), pytest.raises(MemoryError):
        half.fetch(wanted, 0)
    (checkpoint,) = half.training_context(wanted, 0).folder.glob("checkpoint-*")
    assert checkpoint.name == "checkpoint-5" and not half.has(wanted, 0)
    with caplog.at_level(logging.INFO, logger="rlx"):
        path = Store(tmp_path).fetch(wanted, 0)
    assert "going on after update 5 of" in caplog.text
    assert equal(weights(path), weights(store.fetch(wanted, 0)))
    assert not half.training_context(wanted, 0).folder.exists()
    assert json.loads((path / MANIFEST).read_text())["seconds"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_one_that_is_asked_to_stop_ends_its_update_and_saves_it(number, base, store, tmp_path, listening):
    wanted = recipe("SFT policy", base)
    half = prepared(tmp_path, wanted, minutes=60)
    with disturbed(lambda: os.kill(os.getpid(), number)), pytest.raises(Stopped) as stopped:
        half.fetch(wanted, 0)
    assert stopped.value.number == number
    interruption.listen()  # the next process has not been asked
    (mark,) = half.training_context(wanted, 0).folder.glob("checkpoint-*/step.json")
    told = json.loads(mark.read_text())
    assert (told["step"], told["layout"]) == (6, "whole")
    path = half.fetch(wanted, 0)
    assert equal(weights(path), weights(store.fetch(wanted, 0)))


def test_one_whose_checkpoint_lies_in_the_parts_of_another_layout_is_refused(base, tmp_path):
    wanted = recipe("SFT policy", base)
    half = prepared(tmp_path, wanted, minutes=0)
    with disturbed(kill), pytest.raises(MemoryError):
        half.fetch(wanted, 0)
    with pytest.raises(
        UserError, match=r"was written as 'whole' and .* as 'zero2 on 8 processes': .* the SFT policy 0"
    ):
        Store(tmp_path, partial(TrainingContext, layout="zero2 on 8 processes")).fetch(wanted, 0)


def test_nothing_is_left_of_one_that_failed_before_its_first_checkpoint(base, tmp_path):
    wanted = recipe("SFT policy", base)
    half = prepared(tmp_path, wanted, minutes=60)
    with disturbed(kill), pytest.raises(MemoryError):
        half.fetch(wanted, 0)
    assert not half.training_context(wanted, 0).folder.exists()
    assert json.loads((half.fetch(wanted, 0) / MANIFEST).read_text())["seconds"] > 0
