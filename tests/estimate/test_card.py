"""Times on a named GPU, by hand for a model of a thousand million parameters in bfloat16."""

import typing

import pytest
from estimate.test_memory import config

from rlx.core.settings import PlanSettings
from rlx.estimate.card import CARDS, LAUNCHES, UPDATE, UTILISATION, from_card
from rlx.estimate.clock import duration_of
from rlx.estimate.duration import PastRun
from rlx.estimate.size import ModelSize

SIZE = ModelSize(10**9, 2, "given")
WORDS = ["compute=zero2", "compute.num_processes=4", "num_prompts=64", "num_steps=10", "optimizer.num_minibatches=1",
         "optimizer.num_epochs=2", "evaluation.interval=10", "world.max_prompt_tokens=24", "world.max_completion_tokens=64",
         "sampler.batch_size=16"]  # fmt: skip


def test_the_names_that_the_command_line_takes_are_those_of_the_table():
    (literal, _) = typing.get_args(typing.get_type_hints(PlanSettings)["device"])
    assert list(typing.get_args(literal)) == list(CARDS)


def test_operations_are_divided_by_a_share_of_the_peak_of_all_gpus():
    seconds = from_card(config(*WORDS), SIZE, "h100").seconds
    rate, tokens = UTILISATION * 989e12 * 4, 640 * (24 + 64)
    assert seconds["learn"] == pytest.approx(
        tokens * 2 * 6e9 / rate + 20 * UPDATE
    )  # 2 epochs of 2 + 4 operations; 10 x 2 updates
    assert seconds["score"] == pytest.approx(tokens * 2 * 3e9 / rate)  # policy, reference and one reward model
    float32 = from_card(config(*WORDS, "model.dtype=float32"), SIZE, "h100").seconds
    assert float32["score"] == pytest.approx(seconds["score"] * 989 / 67)


def test_recomputation_costs_a_forward_pass_and_adapters_save_the_gradients_of_frozen_weights():
    def learning(*words: str) -> float:
        return from_card(config(*WORDS, *words), SIZE, "h100").seconds["learn"] - 20 * UPDATE

    assert learning("compute.gradient_checkpointing=true") == pytest.approx(learning() * 8 / 6)
    assert learning("model.lora_rank=8") == pytest.approx(learning() * 4 / 6)


def test_a_token_is_drawn_as_fast_as_memory_is_read():
    seconds = from_card(config(*WORDS), SIZE, "h100").seconds["draw"]
    assert seconds == pytest.approx(
        10 * 64 * 2e9 / 3.35e12
    )  # 640 / 4 completions in tens of 16, 64 tokens, 2 GB of weights
    assert LAUNCHES > 0


def test_a_gpu_run_is_not_timed_on_a_machine_without_one_unless_a_card_or_such_a_run_is_named(monkeypatch):
    monkeypatch.setattr("rlx.estimate.duration.device", lambda: "CPU")
    own = config(*WORDS)
    assert "plan.device=a100_40gb" in str(duration_of(own, SIZE, [], None))
    assert "estimated for 4 x h200, not measured" in duration_of(own, SIZE, [], "h200").source  # pyright: ignore
    on_cpu = PastRun("on-cpu", config("compute=cpu"), {"policy": 1.0})
    assert isinstance(duration_of(own, SIZE, [on_cpu], None), str)  # another device says nothing
    here = PastRun("here", own, {"policy": 5.0})
    assert duration_of(own, SIZE, [on_cpu, here], None).seconds == {"policy": 5.0}  # pyright: ignore
    assert "rule of thumb" in duration_of(config("compute=cpu"), SIZE, [], None).source  # pyright: ignore
