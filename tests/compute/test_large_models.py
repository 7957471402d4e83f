"""What large models need changes no number: adapters whose start is the policy itself, logits in chunks, activations
computed again, weights and optimiser spread over two processes, each member of an ensemble in one of the two; all of it
against one process without any of it but the adapters."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from several_runs import done_alone, opened

import rlx.model
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.compute.launcher import launch
from rlx.core.build import build

pytestmark = pytest.mark.timeout(1200)  # s; several processes on few cores
BASE = Path(rlx.model.__path__[0]) / "lab_base"
MINIATURE = shlex.split(
    f"model=pretrained model.path={BASE} model.sft_learning_rate=1e-3 model.reward_learning_rate=1e-3 "
    "model.policy_learning_rate=3e-4 world.num_demonstrations=64 sft.num_epochs=1 reward_model.num_pairs=64 "
    "reward_model.num_heldout_pairs=32 reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 "
    "num_steps=2 evaluation.interval=2 evaluation.num_prompts=8 evaluation.final_num_prompts=8 "
    "optimizer.num_minibatches=2 tracker=jsonl"
)
WARM = ["reward=warm", "reward.num_members=2"]
ENSEMBLE = ["reward=ensemble_mean", "reward.num_members=3"]
RUNS = {
    "adapters, superhf": ["model.lora_rank=4", "optimizer=superhf", "optimizer.num_samples=4", *WARM],
    "adapters, ppo": ["model.lora_rank=4", "optimizer=ppo"],
    "adapters, own critic": ["model.lora_rank=4", "optimizer=ppo", "optimizer.critic=separate"],
    "all weights, ppo with entropy": ["optimizer=ppo", "optimizer.entropy_coefficient=0.01", *ENSEMBLE],
}


def numbers(run: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in row.items() if not name.startswith("time/") and name != "split"} for row in rows]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    runs = {name: [*MINIATURE, *overrides] for name, overrides in RUNS.items()}
    return done_alone(tmp_path_factory.mktemp("alone"), runs)


def squared(row: dict) -> dict:
    """With the KL in place of its root: rounding between two orders of summation is 1e-6 nats, whose root is 1e-3."""
    return {key: value**2 if key.startswith("objective/sqrt_kl") else value for key, value in row.items()}


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["ddp", "zero2", "zero3"])
def test_all_of_it_together_gives_the_numbers_of_one_process_without(alone, compute, tmp_path, monkeypatch):
    cache, runs = alone
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    own = tmp_path / "cache"
    shutil.copytree(cache, own, ignore=shutil.ignore_patterns("*.lock"))
    spread = [f"compute={compute}", "compute.num_processes=2", "compute.gradient_checkpointing=true"]
    spread += ["compute.persistence_threshold=0"] if compute == "zero3" else []  # else a small model stays whole
    paths = {
        name: opened(tmp_path / "runs", own, [*MINIATURE, *overrides, *spread]) for name, overrides in RUNS.items()
    }
    listing = tmp_path / "listing"
    listing.write_text("\n".join(map(str, paths.values())))
    (cell,) = compose([*MINIATURE, *spread])
    launch("chunked_runs", listing, build(checked(cell.config)["compute"]), tmp_path / "processes")
    for name, one in runs.items():
        first, second = numbers(one), numbers(paths[name].parent)
        assert len(first) == len(second)
        for row, other in zip(first, second, strict=True):
            assert squared(other) == pytest.approx(squared(row), rel=1e-3, abs=2e-4), name
        before, after = (load_file(run / "model" / "model.safetensors") for run in (one, paths[name].parent))
        assert before.keys() == after.keys()
        assert all(torch.allclose(before[k], after[k], atol=1e-4) for k in before), name
        said = (paths[name].parent / "log.txt").read_text()
        assert ("without its adapters is its own start" in said) == name.startswith("adapters")
        assert ("reward models: 2 of 3 in this process" in said) == name.startswith("all weights")
