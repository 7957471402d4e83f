"""What every compute choice owes: devices and precision told, a model spread as its name says, checkpoints called parts
where they are. (That numbers do not depend on it: test_equality.py.)"""

import pytest
import torch
from transformers import TrainingArguments

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.build import build
from rlx.core.error import UserError

CHOICES = ("cpu", "ddp", "zero1", "zero2", "zero3", "fsdp")


def made(choice: str, *overrides: str):
    (cell,) = compose([f"compute={choice}", *overrides])
    return build(checked(cell.config)["compute"])


@pytest.mark.parametrize("choice", CHOICES)
def test_trainers_are_told_the_device_and_full_precision_unless_asked(choice):
    told = made(choice).training_arguments()
    assert told["use_cpu"] is not torch.cuda.is_available() and told["bf16"] is False


@pytest.mark.parametrize("choice", CHOICES)
def test_a_checkpoint_is_in_parts_where_something_of_the_training_is_spread(choice):
    assert (made(choice).layout != "whole") is (choice not in ("cpu", "ddp"))


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero_is_deepspeeds_config_of_its_stage_and_nothing_that_must_be_compiled(stage):
    told = made(f"zero{stage}").distribution()["deepspeed"]
    assert told["zero_optimization"]["stage"] == stage and "optimizer" not in told
    assert {told[k] for k in ("train_batch_size", "gradient_clipping", "gradient_accumulation_steps")} == {"auto"}
    assert not any(name.startswith("offload") for name in told["zero_optimization"])
    offloaded = made(f"zero{stage}", "compute.offload=optimizer").distribution()["deepspeed"]["zero_optimization"]
    assert offloaded["offload_optimizer"] == {"device": "cpu"} and "offload_param" not in offloaded


def test_zero3_may_offload_the_weights_too_and_keeps_small_tensors_whole():
    told = made("zero3", "compute.offload=all", "compute.persistence_threshold=7").distribution()["deepspeed"]
    assert {"offload_optimizer", "offload_param"} <= told["zero_optimization"].keys()
    assert told["zero_optimization"]["stage3_param_persistence_threshold"] == 7


def test_fsdp_is_version_2_and_refused_where_transformers_would_train_with_ddp_instead(tmp_path):
    told = made("fsdp", "compute.offload=true").distribution()
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, bf16=False, **told)
    assert arguments.fsdp_plugin_args["fsdp_version"] == 2 and arguments.fsdp_plugin_args["cpu_offload"] is True
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="compute=fsdp needs GPUs"):
            made("fsdp").start()


def test_gradients_are_checkpointed_where_asked():
    assert made("ddp", "compute.gradient_checkpointing=true").training_arguments() != made("ddp").training_arguments()
