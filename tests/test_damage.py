"""Runs that were cut off and whose files were damaged since: the numbers of an undisturbed run, whatever was damaged."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlx.cli import main

MINIATURE = shlex.split(
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 num_steps=4 "
    "evaluation.interval=2 evaluation.num_prompts=8 evaluation.final_num_prompts=16 checkpoint.interval=1 tracker=jsonl"
)
ENDS = ("summary.json", "report.html", "report.md", "final_samples.jsonl", "model")  # what a run writes after learning


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def delete(path: Path) -> None:
    path.unlink()


def numbers(run: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run, its checkpoints still there."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLX_CACHE", str(folder / "cache"))
        patch.setenv("RLX_RUNS", str(folder / "runs"))
        assert main(["train", "name=a", *MINIATURE]) == 0
    return folder / "runs" / "a-seed0"


@pytest.fixture
def cut_off(whole, tmp_path, monkeypatch):
    """A copy of it, as a kill before its end would have left it."""
    monkeypatch.setenv("RLX_CACHE", str(whole.parent.parent / "cache"))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    run = tmp_path / "runs" / whole.name
    shutil.copytree(whole, run)
    for name in ENDS:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink(missing_ok=True)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running", "pid": 2**22}))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(whole.parent), str(run.parent)))
    return run


def check(run: Path, whole: Path) -> None:
    assert main(["train", "name=a", *MINIATURE]) == 0
    assert numbers(run) == numbers(whole)
    assert json.loads((run / "summary.json").read_text()) == json.loads((whole / "summary.json").read_text())
    assert (run / "final_samples.jsonl").read_bytes() == (whole / "final_samples.jsonl").read_bytes()
    ours, theirs = (path / "model" / "model.safetensors" for path in (run, whole))
    assert ours.read_bytes() == theirs.read_bytes()


def newest(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda path: int(path.name.partition("-")[2]))


SAVED = ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json", "training_args.bin",
         "step.json")  # fmt: skip
OTHERS = ("metrics.jsonl", "samples.jsonl", "provenance.json", "members.json", "status.json")


def test_one_bit_of_the_optimizers_state_costs_a_step_and_no_number(whole, cut_off):
    flip(newest(cut_off) / "optimizer.pt")
    check(cut_off, whole)
    assert "optimizer.pt is not what was saved" in (cut_off / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut, delete])
@pytest.mark.parametrize("name", SAVED)
def test_a_damaged_checkpoint_is_not_believed(whole, cut_off, name, damage):
    if name == "optimizer.pt" and damage is flip:
        pytest.skip("the test above")
    damage(newest(cut_off) / name)
    check(cut_off, whole)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut, delete])
@pytest.mark.parametrize("name", OTHERS)
def test_damaged_files_of_a_run_change_no_number(whole, cut_off, name, damage):
    damage(cut_off / name)
    check(cut_off, whole)


@pytest.mark.slow
def test_without_one_whole_checkpoint_the_policy_learns_from_its_start_again(whole, cut_off):
    for folder in (cut_off / "checkpoints").iterdir():
        cut(folder / "model.safetensors")
    check(cut_off, whole)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["[1, 2]", "{", "", "null"])
def test_files_that_hold_other_json_than_they_did_end_no_run(whole, cut_off, content):
    for name in ("status.json", "provenance.json", "members.json"):
        (cut_off / name).write_text(content)
    check(cut_off, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [50, 600])
def test_a_file_that_may_grow_no_further_is_one_line_and_costs_no_number(whole, cut_off, kilobytes):
    """As on a disk that is full: the first limit ends the run at its export or before, the second at a checkpoint."""
    shutil.rmtree(cut_off / "checkpoints")
    limited = f"ulimit -f {kilobytes}; exec {sys.executable} -m rlx.cli train name=a {shlex.join(MINIATURE)}"
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=250, check=False)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("rlx: a file ") and "MB free there" in last and last.endswith("the same command goes on")
    check(cut_off, whole)
