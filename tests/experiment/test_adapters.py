"""Runs of a model with adapters, on a miniature of the lab."""

import json
import shlex
from pathlib import Path

import pytest

import rlx.model
from rlx.cli import main
from rlx.reference.frozen import Frozen

pytestmark = pytest.mark.slow
BASE = Path(rlx.model.__path__[0]) / "lab_base"
MINIATURE = shlex.split(
    f"model=pretrained model.path={BASE} model.lora_rank=4 model.sft_learning_rate=1e-3 model.reward_learning_rate=1e-3 "
    "model.policy_learning_rate=3e-3 world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 "
    "reward_model.num_heldout_pairs=32 reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 "
    "num_steps=2 evaluation.interval=2 evaluation.num_prompts=8 evaluation.final_num_prompts=16 tracker=jsonl"
)


def numbers(folder: Path) -> list[dict]:
    (run,) = (folder / "runs").iterdir()
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in row.items() if not name.startswith("time/")} for row in found]


@pytest.mark.parametrize("optimizer", ["ppo", "superhf"])
def test_a_run_without_a_second_copy_has_the_numbers_of_one_with_it(tmp_path, monkeypatch, optimizer):
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    found = []
    for is_start in (True, False):
        folder = tmp_path / str(is_start)
        folder.mkdir()
        monkeypatch.setenv("RLX_RUNS", str(folder / "runs"))
        monkeypatch.setattr(Frozen, "is_start", is_start)
        assert main(["train", f"optimizer={optimizer}", *MINIATURE]) == 0
        (run,) = (folder / "runs").iterdir()
        assert "without its adapters is its own start" in (run / "log.txt").read_text()
        found.append(numbers(folder))
    for one, other in zip(*found, strict=True):
        assert one.pop("split") == other.pop("split")
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    last = found[0][-1]  # a held-out row
    assert last["objective/kl"] == pytest.approx(last["objective/kl_start"])
    assert abs(last["objective/kl"]) > 1e-3  # the policy has moved
