"""The same losses and measurements in one process and in two, whatever is spread over them: DDP, ZeRO-1, 2 and 3, and FSDP
(which transformers has to be made to use on CPUs), on gloo.

Every stage is compared by itself, from artefacts of the one process: a rounding difference of one stage may turn a single
token of the next, and from there on two runs are two draws. Dropout is off, because each process draws its own."""

import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from several_runs import done_alone, opened

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.compute.launcher import launch
from rlx.core.build import build

pytestmark = pytest.mark.timeout(1200)  # s; several processes on few cores
MINIATURE = shlex.split(
    "world.num_demonstrations=128 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 'reward_model.dropouts=[0.0]' num_prompts=8 "
    "num_steps=3 evaluation.interval=3 evaluation.num_prompts=9 evaluation.final_num_prompts=9 checkpoint.interval=2 "
    "torch_optimizer.learning_rate=3e-4 optimizer.num_minibatches=2 tracker=jsonl"
)
RUNS = {
    "ppo": ["optimizer=ppo", "compute.micro_batch_size=1"],
    "ppo, own critic": ["optimizer=ppo", "optimizer.critic=separate", "reference=soup"],
    "ppo, the best kept": ["optimizer=ppo", "checkpoint.keep_best=gold"],
    "superhf": ["optimizer=superhf", "optimizer.num_samples=4"],
    "inpo": ["optimizer=inpo", "optimizer.num_samples=4", "regularizer=chi2"],
}


def rows(run: Path) -> dict[str, float]:
    """All numbers of a run but seconds, by split, step and name."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {
        f"{line['split']} {line['step']} {name}": value
        for line in lines
        for name, value in line.items()
        if not name.startswith("time/") and isinstance(value, int | float)
    }
    return found | {f"final {k}": v for k, v in json.loads((run / "summary.json").read_text()).items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Every run in one process."""
    runs = {name: [*MINIATURE, *overrides] for name, overrides in RUNS.items()}
    return done_alone(tmp_path_factory.mktemp("alone"), runs)


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["ddp", "zero1", "zero2", "zero3", "fsdp"])
def test_two_processes_give_the_numbers_of_one(alone, compute, tmp_path, monkeypatch):
    cache, runs = alone
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    own = tmp_path / "cache"  # in which SFT policies and reward models are missing
    shutil.copytree(cache, own, ignore=shutil.ignore_patterns("*.lock"))
    for folder in own.glob("SFTPolicy-*"):
        shutil.rmtree(folder)
    for folder in own.glob("RewardMember-*"):
        shutil.rmtree(folder)
    spread = [f"compute={compute}", "compute.num_processes=2"]
    spread += ["compute.persistence_threshold=0"] if compute == "zero3" else []  # else a small model stays whole
    paths = {"artefacts": opened(tmp_path / "own", own, [*MINIATURE, *RUNS["ppo, own critic"], *spread])}
    paths |= {
        name: opened(tmp_path / "runs", cache, [*MINIATURE, *overrides, *spread]) for name, overrides in RUNS.items()
    }
    listing = tmp_path / "listing"
    listing.write_text("\n".join(map(str, paths.values())))
    (cell,) = compose([*MINIATURE, *spread])
    runs_of = "forced_fsdp_runs" if compute == "fsdp" else "several_runs"
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    launch(runs_of, listing, build(checked(cell.config)["compute"]), tmp_path / "processes")
    assert not list((tmp_path / "tmp").iterdir())  # where the workers littered

    for kind in ("SFTPolicy", "RewardMember"):
        made = sorted(own.glob(f"{kind}-*/model.safetensors"))
        assert len(made) == len(list(cache.glob(f"{kind}-*/model.safetensors")))
        for file in made:
            one, two = load_file(cache / file.relative_to(own)), load_file(file)
            assert one.keys() == two.keys()
            # Of a learning rate of 1e-3: AdamW turns a rounding error of a gradient near 0 into a share of a step.
            assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-4
    for name, one in runs.items():
        first, second = rows(one), rows(paths[name].parent)
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert second[key] == pytest.approx(value, rel=1e-3, abs=1e-4), (name, key)
        before, after = (load_file(run / "model" / "model.safetensors") for run in (one, paths[name].parent))
        assert before.keys() == after.keys()
        assert all(torch.allclose(before[k], after[k], atol=1e-4) for k in before)
    assert os.listdir(tmp_path / "processes")
