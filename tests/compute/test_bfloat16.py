"""bfloat16 is the same on CPUs as on GPUs: autocast over float32 masters, in DeepSpeed weights of bfloat16 with masters
beside them. Runs of one process and of two, and a run in float32, learn from the same completions (given_draws) and from
the same artefacts, so that their numbers differ by rounding alone.

How far: bfloat16 has 8 bits, so that a logit near 2 is off by up to 2^-8 = .004 and a log-probability of this model by .009
on average, which adds up to .06 (one standard deviation) over a completion of 24 tokens. A divergence is two such sums, the
difference of two precisions four, and their mean over 8 completions is off by .06 * sqrt(4 / 8) = .04: .1 is 2.4 of those (.053
was measured). INPO's loss squares such a sum, less 4."""

import json
import shlex
import shutil
from pathlib import Path

import given_draws
import pytest
import torch
from safetensors.torch import load_file
from several_runs import done_alone, opened

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.compute.launcher import launch
from rlx.core.build import build
from rlx.sampler.transformers import Transformers

pytestmark = pytest.mark.timeout(1200)  # s; several processes on few cores
MINIATURE = shlex.split(
    f"model=pretrained model.path={given_draws.BASE} model.sft_learning_rate=1e-3 model.reward_learning_rate=1e-3 "
    "model.policy_learning_rate=1e-4 world.num_demonstrations=64 sft.num_epochs=1 reward_model.num_pairs=64 "
    "reward_model.num_heldout_pairs=32 reward_model.num_epochs=1 reward_model.num_reference_completions=32 "
    "'reward_model.dropouts=[0.0]' num_prompts=8 num_steps=2 evaluation.interval=2 evaluation.num_prompts=8 "
    "evaluation.final_num_prompts=8 optimizer.num_minibatches=2 sampler.max_new_tokens=24 tracker=jsonl"
)
BF16 = "model.dtype=bfloat16"
REL, ABS = 0.05, 0.1
RUNS = {
    "ppo": [BF16],
    "ppo, own critic": [BF16, "optimizer.critic=separate", "reference=soup"],
    "superhf": [BF16, "optimizer=superhf", "optimizer.num_samples=2", "optimizer.num_kept=2"],
    "inpo": [BF16, "optimizer=inpo", "optimizer.num_samples=2", "optimizer.pairing=iid"],
    "adapters": [BF16, "model.lora_rank=4"],
    "in float32": [],
}


def numbers(run: Path) -> dict[tuple[str, int, str], float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        (line["split"], line["step"], name): value
        for line in lines
        for name, value in line.items()
        if not name.startswith("time/") and isinstance(value, int | float)
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Every run in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transformers, "draw", given_draws.draw)
        return done_alone(tmp_path_factory.mktemp("alone"), {name: [*MINIATURE, *own] for name, own in RUNS.items()})


def check_close(found: Path, wanted: Path, what: str) -> None:
    """Roots of a divergence are left out: near 0 they are nothing but rounding."""
    one, two = numbers(wanted), numbers(found)
    assert one.keys() == two.keys()
    for key in (key for key in one if "sqrt" not in key[2]):
        assert two[key] == pytest.approx(one[key], rel=REL, abs=ABS), (what, key)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Adapters stay in float32, as they were trained."""
    found = load_file(path / "model.safetensors" if path.is_dir() else path)
    assert {x.dtype for x in found.values()} == {torch.float32 if path.name.startswith("adapter") else torch.bfloat16}
    return {name: x.float() for name, x in found.items()}


def check_weights(found: Path, wanted: Path) -> None:
    """Numbers of bfloat16 below .5 are 2^-9 apart: a rounding that went the other way, or two."""
    one, two = weights(wanted), weights(found)
    assert one.keys() == two.keys()
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 2**-8


@pytest.mark.slow
def test_a_run_in_bfloat16_has_the_numbers_of_float32_but_for_rounding(alone):
    check_close(alone[1]["ppo"], alone[1]["in float32"], "float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNS if name != "in float32"])
def test_every_optimiser_learns_in_bfloat16_and_exports_it(alone, name):
    _, runs = alone
    found = numbers(runs[name])
    assert torch.tensor(list(found.values())).isfinite().all()
    if "soup" not in str(RUNS[name]):  # a reference that is the start: the policy says of every token what it says
        assert found["train", 1, "objective/kl"] == 0 == found["heldout", 0, "objective/kl"]
    assert found["heldout", 2, "objective/kl_start"] != 0
    weights(runs[name] / "model")


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["ddp", "zero2", "zero3", "fsdp"])
def test_two_processes_in_bfloat16_give_the_numbers_of_one_but_for_rounding(alone, compute, tmp_path, monkeypatch):
    cache, runs = alone
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    own = tmp_path / "cache"  # in which SFT policies and reward models are missing
    shutil.copytree(cache, own, ignore=shutil.ignore_patterns("*.lock", "SFTPolicy-*", "RewardMember-*"))
    spread = [f"compute={compute}", "compute.num_processes=2"]
    spread += ["compute.persistence_threshold=0"] if compute == "zero3" else []  # else a small model stays whole
    asked = {name: [*MINIATURE, *overrides, *spread] for name, overrides in RUNS.items() if name != "in float32"}
    paths = {name: opened(tmp_path / "runs", cache, words) for name, words in asked.items()}
    built = [opened(tmp_path / "own", own, asked[name]) for name in ("ppo, own critic", "adapters")]
    listing = tmp_path / "listing"
    listing.write_text("\n".join(map(str, [*built, *paths.values()])))
    (cell,) = compose([*MINIATURE, *spread])
    runs_of = "given_draws_fsdp" if compute == "fsdp" else "given_draws"
    launch(runs_of, listing, build(checked(cell.config)["compute"]), tmp_path / "processes")

    made = [file for kind in ("SFTPolicy", "RewardMember") for file in own.glob(f"{kind}-*/*model.safetensors")]
    # Two policies of a soup and a reward model; with adapters a policy, and a reward model that is an adapter.
    assert sorted(file.name for file in made) == ["adapter_model.safetensors", *["model.safetensors"] * 4]
    for file in made:
        check_weights(file, cache / file.relative_to(own))
    for name, path in paths.items():
        check_close(path.parent, runs[name], name)
        check_weights(path.parent / "model", runs[name] / "model")
