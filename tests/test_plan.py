"""`rlx plan` tells what would happen, and makes nothing happen."""

import json

import pytest
import yaml

from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.run.name import run_name


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_plan_lists_artefacts_work_time_memory_and_disk_and_writes_nothing(empty, capsys):
    assert main(["plan", "reward=warm", "reference=soup", "reward.num_members=3"]) == 0
    text = capsys.readouterr().out
    assert "would be made" in text and "SFT policy 1" in text and "reward model 2" in text and "to build" in text
    assert "6,400" in text  # completions: 100 rollouts of 64 prompts
    assert "rule of thumb" in text and "AdamW" in text and "disk:" in text
    assert list(empty.iterdir()) == []


@pytest.fixture
def untraced(monkeypatch):
    """What passes through a model is a byte, where a test is of what lies in memory."""
    monkeypatch.setattr("rlx.estimate.passes.Passes._traced", lambda *_: 1)


def test_memory_is_told_for_each_process_of_the_chosen_compute(empty, untraced, capsys):
    words = ["model=llama2_7b", "compute=zero3", "compute.num_processes=8", "world=preferences", "world.path=x"]
    words.append("optimizer.critic=shared")
    assert sizes_told([*words, "model.lora_rank=0"], capsys)["policy's weights"] == "1.68 GB"  # 6.74e9 x 2 / 8
    with_adapters = sizes_told(words, capsys)
    assert with_adapters["policy's frozen weights"] == "1.68 GB" and with_adapters["reference and start"] == "-"
    assert list(empty.iterdir()) == []


def sizes_told(words, capsys) -> dict[str, str]:
    from rlx.estimate.size import known_size
    from rlx.plan import _console, _room

    config = checked(compose(words)[0].config)
    console = _console()
    _room(console, config, known_size(config["model"]))
    text = capsys.readouterr().out
    assert "of each process, on 8 GPUs" in text and "from the published config" in " ".join(text.split())
    rows = [line.strip().split("  ") for line in text.splitlines()]
    return {row[0]: next(filter(None, (x.strip() for x in row[1:])), "") for row in rows}


def test_time_is_taken_from_a_run_that_was_measured_and_scaled_to_this_length(empty, capsys):
    config = checked(compose(["seed=1"])[0].config)
    run_dir = empty / "runs" / run_name(config)
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (run_dir / "status.json").write_text(json.dumps({"state": "done"}))
    costs = {"SFT policy 0": 60.0, "reward model 0": 90.0, "policy": 60.0, "final measurement": 20.0, "combine": 1.0}
    (run_dir / "provenance.json").write_text(json.dumps({"costs": costs}))
    assert (
        main(["plan", "reward=warm", "reward.num_members=2", "num_steps=160", "evaluation.final_num_prompts=512"]) == 0
    )
    text = capsys.readouterr().out
    assert f"measured in {run_dir.name}" in " ".join(text.split())
    assert "2 min" in text  # 60 s x 160/80
    assert "40 s" in text  # 20 s x 512/256
    assert (
        "10 artefacts" in text and "4 min; not known for 7" in text
    )  # 60 s + 2 x 90 s; pairs, head, reference set, 2 on pairs, importance, start completions


AT_SIZE = ["plan", "model=llama3_8b", "reward=ensemble_uwo", "compute=zero2", "compute.num_processes=8", "world=preferences",
           "world.path=pairs.jsonl"]  # fmt: skip


@pytest.mark.slow
def test_the_preset_of_eight_thousand_million_parameters_fits_eighty_gigabytes_as_it_stands(empty, capsys):
    (empty / "pairs.jsonl").write_text("")
    config = checked(compose(AT_SIZE[1:])[0].config)
    from rlx.estimate.size import known_size
    from rlx.plan import _console, _room

    _room(_console(), config, known_size(config["model"]), "h100")
    assert "fits h100: at most 45" in " ".join(capsys.readouterr().out.split())


def test_a_gpu_run_is_planned_for_a_card_that_is_not_there(empty, untraced, capsys):
    words = AT_SIZE
    pair = {"prompt": "Say it.\n\nAssistant:", "chosen": " yes", "rejected": " no"}
    (empty / "pairs.jsonl").write_text(
        "".join(json.dumps(pair | {"prompt": f"{i} {pair['prompt']}"}) + "\n" for i in range(200))
    )
    assert main(words) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "time: not known: this machine has no GPU" in text and "plan.device=" in text and "fits" not in text
    assert main([*words, "plan.device=h100"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "estimated for 8 x h100, not measured" in text and "fits h100" in text
    assert main([*words, "plan.device=rtx4090", "model.lora_rank=0"]) == 0
    assert "does not fit rtx4090" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "plan.device=h10"]) == 2
    assert "plan.device=h10" in (error := capsys.readouterr().err) and "did you mean 'h100'" in error


def test_the_device_of_a_plan_is_no_part_of_a_run():
    plain, named = (compose(words)[0] for words in ([], ["plan.device=h100"]))
    assert plain.config == named.config and named.plan == {"device": "h100"}
    assert run_name(checked(plain.config)) == run_name(checked(named.config))


def test_the_plan_of_a_sweep_lists_cells_shared_artefacts_and_sums_and_writes_nothing(empty, capsys):
    assert main(["plan", "-m", "reward=warm", "seed=0,1", "reward.num_members=0,3"]) == 2
    assert "reward.num_members" in capsys.readouterr().err  # every cell is checked
    assert main(["plan", "-m", "reward=single,ensemble_mean", "reference=frozen,soup", "seed=0,1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "8 cells, 0 of them done" in text and "reward=ensemble_mean reference=soup seed=1 not started" in text
    assert "SFT policy 0 to build 8 SFTPolicy-" in text and "reward model 1 to build 4 RewardMember-" in text
    assert "15 to build, each once" in text and "8 to run, one after another" in text
    assert "on the clock" in text and "memory" in text and "disk, runs" in text
    assert list(empty.iterdir()) == []


def test_a_cell_that_is_done_needs_neither_time_nor_artefacts(empty, capsys):
    config = checked(compose(["seed=1"])[0].config)
    run_dir = empty / "runs" / run_name(config)
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (run_dir / "status.json").write_text(json.dumps({"state": "done"}))
    assert main(["plan", "-m", "seed=1,2"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "2 cells, 1 of them done" in text and "1 to run" in text and "SFT policy 0 to build 1 SFTPolicy" in text
