"""Trainings that ZeRO spreads go on, from their checkpoints, with another number of processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from rlx.artefact.training_state import Checkpoint
from rlx.compute.universal import LATEST, _Mended, make_readable
from rlx.core.error import UserError
from tests.compute.test_launcher import MINIATURE, rows, wait_for


def checkpoint(tmp_path: Path, layout: str) -> Checkpoint:
    return Checkpoint(tmp_path, 8, layout, {})


def trainer_that_keeps(told: dict) -> SimpleNamespace:
    plugin = SimpleNamespace(deepspeed_config=told)
    state = SimpleNamespace(deepspeed_plugin=plugin)
    return SimpleNamespace(accelerator=SimpleNamespace(state=state), add_callback=lambda callback: None)


@pytest.mark.parametrize("written", ["zero2 on 2 processes", "fsdp on 2 processes", "whole"])
def test_a_checkpoint_of_another_kind_is_refused(tmp_path, written):
    with pytest.raises(UserError, match=f"was written as '{written}' and cannot be read as 'zero3 on 4 processes'"):
        make_readable(checkpoint(tmp_path, written), "zero3 on 4 processes", "the policy", trainer_that_keeps({}))


def test_the_same_layout_is_read_as_it_lies_and_what_was_written_anew_is_not_written_again(tmp_path):
    told: dict = {}
    make_readable(checkpoint(tmp_path, "zero2 on 2 processes"), "zero2 on 2 processes", "it", trainer_that_keeps(told))
    assert told == {}
    (tmp_path / LATEST).write_text("universal")
    make_readable(checkpoint(tmp_path, "zero2 on 2 processes"), "zero2 on 4 processes", "it", trainer_that_keeps(told))
    assert told == {"checkpoint": {"load_universal": True}} and os.listdir(tmp_path) == [LATEST]


def test_groups_of_parameters_count_their_updates_by_themselves_and_keep_their_weight_decay():
    weights = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    adamw = torch.optim.AdamW([{"params": [x]} for x in weights], lr=1.0)
    shared = torch.tensor(3.0)  # as DeepSpeed loads it
    for x, group in zip(weights, adamw.param_groups, strict=True):
        adamw.state[x] |= {"step": shared, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.ones(2)}
        x.grad, group["weight_decay"] = torch.ones(2), 0.1
    wrapped = SimpleNamespace(optimizer=SimpleNamespace(optimizer=adamw))
    _Mended().on_train_begin(SimpleNamespace(weight_decay=0.1), None, None, optimizer=wrapped)
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.1, 0.0]
    adamw.step()
    assert [int(adamw.state[x]["step"]) for x in weights] == [4, 4]
    torch.testing.assert_close(weights[0], weights[1])  # of the same gradient; both weights were 0


STEPS = ["num_steps=12", "evaluation.interval=12"]


@pytest.fixture
def started(in_background, tmp_path):
    """started(verb, cache, *overrides): the command in a process of its own."""

    def start(verb: str, cache: str, *overrides: str) -> "subprocess.Popen[str]":
        return in_background([sys.executable, "-m", "rlx.cli", verb, *MINIATURE, *overrides], tmp_path / cache)

    return start


def of_stage(stage: int, num_processes: int) -> list[str]:
    spread = [f"compute=zero{stage}", f"compute.num_processes={num_processes}"]
    return spread + (["compute.persistence_threshold=0"] if stage == 3 else [])  # else a small model stays whole


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", [2, 3])
def test_a_run_of_two_processes_goes_on_in_one_to_the_numbers_of_an_undisturbed_one(started, tmp_path, stage):
    process = started("train", "cache", *STEPS, "name=parts", *of_stage(stage, 2))
    wait_for(tmp_path / "runs", "parts-seed0/checkpoints/*/step.json", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    before = rows(tmp_path / "runs" / "parts-seed0")
    again = started("train", "cache", *STEPS, "name=parts", *of_stage(stage, 1))
    said = again.communicate(timeout=900)[0]
    assert again.returncode == 0 and "writing it anew" in said and "going on after step" in said, said
    whole = started("train", "cache", *STEPS, "name=whole", *of_stage(stage, 2))
    said = whole.communicate(timeout=900)[0]
    assert whole.returncode == 0, said
    own, undisturbed = (rows(tmp_path / "runs" / f"{name}-seed0") for name in ("parts", "whole"))
    # The first step after it says that the weights are right, the next two that AdamW is. Later, rounding may turn a token.
    assert len(before) + 3 <= len(own) == len(undisturbed)
    for one, other in zip(own[: len(before) + 3], undisturbed, strict=False):
        assert one.keys() == other.keys()
        for name, value in other.items():
            number = isinstance(value, float)
            assert one[name] == (pytest.approx(value, rel=1e-3, abs=1e-4) if number else value), (other["step"], name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", [2, 3])
def test_an_artefact_of_one_process_goes_on_in_two_to_the_weights_of_an_undisturbed_one(started, tmp_path, stage):
    longer = ["sft.num_epochs=10", "reward_model.num_epochs=4", "sft.weight_decay=0.1"]
    process = started("prepare", "cache", *longer, "checkpoint.minutes=0", *of_stage(stage, 1))
    wait_for(tmp_path / "cache", "SFTPolicy-*.unfinished/checkpoint-*/step.json", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    again = started("prepare", "cache", *longer, *of_stage(stage, 2))
    said = again.communicate(timeout=900)[0]
    assert again.returncode == 0 and "writing it anew" in said and "going on after update" in said, said
    alone = started("prepare", "alone", *longer, "compute=cpu")
    said = alone.communicate(timeout=900)[0]
    assert alone.returncode == 0, said
    (one,) = (tmp_path / "cache").glob("SFTPolicy-*/manifest.json")
    assert json.loads(one.read_text())["seconds"] is None  # it was taken up
    weights = load_file(one.with_name("model.safetensors"))
    others = load_file(tmp_path / "alone" / one.parent.name / "model.safetensors")
    assert max(float((weights[name] - others[name]).abs().max()) for name in others) < 1e-4
