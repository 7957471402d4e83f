"""What can be said of sampler=vllm without vLLM, and, where an environment that has it is named, what it does there."""

import importlib.util
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from rlx.command.compose import compose
from rlx.core.build import build
from rlx.core.error import UserError
from rlx.sampler._engines import Asked, EngineRow
from rlx.sampler.vllm import VLLM, padded

ASKED = Asked(max_tokens=4, temperature=0.7, end_ids=(1, 9), seed_rows=True)


def sampler(**settings) -> VLLM:
    return build({**compose(["sampler=vllm"])[0].config["sampler"], **settings})


def test_rows_are_padded_and_end_where_an_end_of_sequence_was_drawn():
    rows = [EngineRow([5, 1], [-0.5, -1.0]), EngineRow([5, 6, 7, 8], [-1.0, -2.0, -3.0, -4.0]), EngineRow([9], [-0.25])]
    drawn = padded(rows, ASKED, pad_id=0)
    assert drawn.ids_BT.tolist() == [[5, 1, 0, 0], [5, 6, 7, 8], [9, 0, 0, 0]]
    assert drawn.mask_BT.sum(-1).tolist() == [2, 4, 1]
    assert drawn.ended_B.tolist() == [True, False, True]
    assert drawn.logps_BT is not None
    assert drawn.logps_BT.tolist() == [[-0.5, -1, 0, 0], [-1, -2, -3, -4], [-0.25, 0, 0, 0]]


def test_no_rows_are_padded_to_none():
    drawn = padded([], ASKED, pad_id=0)
    assert drawn.ids_BT.shape == drawn.mask_BT.shape == (0, 4) and drawn.ended_B.dtype == torch.bool


def test_a_token_without_a_probability_is_not_learnt_from():
    with pytest.raises(RuntimeError, match="the policy it was given is broken"):
        padded([EngineRow([5], [float("nan")])], ASKED, pad_id=0)


def test_every_row_has_its_own_seed_and_the_whole_softmax():
    asked = ASKED.parameters(seed=2**63 - 1)
    assert asked["seed"] == 2**63 - 1 and asked["temperature"] == 0.7
    assert (asked["top_p"], asked["top_k"], asked["min_p"], asked["repetition_penalty"]) == (1.0, 0, 0.0, 1.0)
    assert asked["stop_token_ids"] == [1, 9] and asked["ignore_eos"] and asked["logprobs"] == 0


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_one_line_says_how_to_get_it_before_anything_is_built():
    with pytest.raises(UserError, match=r"pip install -e .*vllm.*sampler=transformers") as error:
        sampler().check()
    assert "\n" not in str(error.value)


def test_a_server_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # as if vLLM were here
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=f"sampler.port={port}: no vLLM server answers"):
        sampler(mode="server", port=port, timeout=0.5).check()


ROOT = Path(__file__).parents[2]
# One machine, one thread, no network; the memory for vLLM's cache in GiB, and no pinning of threads to cores.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1", "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
}  # fmt: skip


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict:
    """Found by vllm_facts.py; it takes minutes, most of them vLLM's start."""
    python = os.environ.get("RLX_VLLM_PYTHON")
    if not python:
        pytest.skip("RLX_VLLM_PYTHON names no Python that has vLLM (docs/scale.md, Rollouts with vLLM)")
    folder = tmp_path_factory.mktemp("vllm")
    command = [python, str(ROOT / "tests/sampler/vllm_facts.py"), str(folder)]
    ended = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=1500)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
    return json.loads((folder / "facts.json").read_text())


@pytest.mark.vllm
@pytest.mark.timeout(1600)
def test_greedy_tokens_are_those_of_transformers(facts):
    assert facts["greedy tokens equal"] and facts["greedy masks equal"]


@pytest.mark.vllm
def test_a_rows_draw_follows_from_its_seed(facts):
    assert facts["same seeds, same tokens"] and facts["same seeds in another order, same tokens"]
    assert facts["other seeds, other tokens"]


@pytest.mark.vllm
def test_without_seeds_of_rows_a_draw_follows_from_its_first_seed_and_leaves_random_numbers_as_they_were(facts):
    assert facts["same first seed, same tokens"] and facts["other first seed, other tokens"]
    assert facts["largest error of a frequency without seeds"] < 5 * (0.25 / 2000) ** 0.5
    assert facts["random state kept"]


@pytest.mark.vllm
def test_draws_follow_the_policys_softmax_and_end_at_its_end_of_sequence(facts):
    assert facts["largest error of a frequency"] < 5 * (0.25 / 2000) ** 0.5
    assert facts["some ended, some did not"] and facts["last tokens that end are ends"]


@pytest.mark.vllm
def test_vllm_says_what_the_policy_says_before_and_after_an_update(facts):
    assert facts["log-probabilities differ by"] < 1e-3
    assert facts["after an update they differ by"] < 1e-3 and facts["from the policy before it by"] > 0.1


@pytest.mark.vllm
def test_adapters_are_drawn_with_and_the_start_without_them(facts):
    assert facts["with adapters they differ by"] < 1e-3 and facts["without them by"] < 1e-3
    assert facts["adapters change them by"] > 0.1


@pytest.mark.vllm
def test_ppo_learns_from_its_rollouts_and_the_weights_stay_at_one(facts):
    rows = facts["ppo"]
    assert rows[-1]["objective/scores"] > rows[0]["objective/scores"] + 0.05
    for row in rows:
        assert row["sampler/importance_mean"] == pytest.approx(1, abs=1e-3) and row["sampler/importance_clipped"] == 0
        assert row["sampler/logp_difference_max"] < 1e-3
