"""Mistakes that are found before anything is built."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import rlx.model
from rlx.cli import main
from rlx.model.tokens import encode_prompt

BASE = Path(rlx.model.__path__[0]) / "lab_base"
PAIRS = [{"prompt": f"why is it so {i} ?", "chosen": f"because {i} .", "rejected": "no ."} for i in range(40)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    shutil.copytree(BASE, tmp_path / "model")
    return tmp_path


WORDS = ["world=preferences", "world.path=pairs.jsonl", "world.min_pairs=1", "world.min_heldout_prompts=1", "model=pretrained",
         "model.path=./model", "world.max_prompt_tokens=32", "world.max_completion_tokens=16", "tracker=jsonl"]  # fmt: skip


def built(folder: Path) -> list[str]:
    """The artefacts in the store."""
    cache = folder / "cache"
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"] if cache.is_dir() else []


def judge(folder: Path) -> Path:
    """A folder with a reward model's files."""
    path = folder / "judge"
    shutil.copytree(BASE, path)
    weights = load_file(path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights | {"score.weight": torch.ones(1, 64)}, path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForSequenceClassification"]}))
    return path


def no_head(path):
    shutil.copy(BASE / "model.safetensors", path)


def two_labels(path):
    weights = load_file(path / "model.safetensors")
    save_file(weights | {"score.weight": torch.ones(2, 64)}, path / "model.safetensors", metadata={"format": "pt"})


def nan_head(path):
    weights = load_file(path / "model.safetensors")
    save_file(
        weights | {"score.weight": torch.full((1, 64), float("nan"))},
        path / "model.safetensors",
        metadata={"format": "pt"},
    )


def cut_config(path):
    (path / "config.json").write_text('{"model_type": "ll')


def list_config(path):
    (path / "config.json").write_text("[1, 2]")


def garbage_weights(path):
    (path / "model.safetensors").write_bytes(b"not weights")


def cut_tokenizer(path):
    (path / "tokenizer.json").write_text('{"version": "1.0", "tru')


def no_tokenizer(path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).unlink()


@pytest.mark.parametrize("verb", ["train", "plan"])
@pytest.mark.parametrize(
    "damage",
    [
        no_head,
        two_labels,
        nan_head,
        cut_config,
        list_config,
        garbage_weights,
        cut_tokenizer,
        no_tokenizer,
        shutil.rmtree,
    ],
)
def test_a_gold_that_cannot_judge_is_said_in_one_line_before_anything_is_built(here, capsys, verb, damage):
    path = judge(here)
    damage(path / "model.safetensors" if damage is no_head else path)
    assert main([verb, *WORDS, "world.gold=./judge"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rlx: world.gold=") and path.name in error
    assert not built(here)


def unknown_architecture(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "unheard_of"}))


def remote_code(path):
    config = json.loads((path / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (path / "config.json").write_text(json.dumps(config | own))
    (path / "own.py").write_text("raise SystemExit('code from data ran')")


@pytest.mark.parametrize(
    "damage", [cut_config, list_config, cut_tokenizer, no_tokenizer, unknown_architecture, remote_code]
)
def test_a_model_that_cannot_be_read_is_one_line(here, capsys, damage):
    damage(here / "model")
    assert main(["train", *WORDS]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rlx: model.path=") and not built(here)


def test_a_folder_that_is_none_is_said_before_torch_is_imported_and_leaves_no_run(here):
    code = "import sys; from rlx.cli import main; code = main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(code)"
    for word in (
        "model.path=./none",
        "model.path=/no/such/folder",
        "world.gold=./none",
        "model.reward_path=./none",
    ):
        words = [sys.executable, "-c", code, "train", *WORDS, word]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 2 and "no such directory" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (here / "runs").exists() and not (here / "cache").exists()


def garbage_index(path):
    (path / "model.safetensors").unlink()
    (path / "model.safetensors.index.json").write_text("{")


def wrong_shape(path):
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(7)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def nan_weights(path):
    weights = load_file(path / "model.safetensors")
    weights["model.embed_tokens.weight"][200, 3] = float("nan")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("damage", [garbage_weights, garbage_index, wrong_shape, nan_weights])
def test_weights_that_cannot_be_used_are_one_line_before_the_first_training(here, capsys, damage):
    damage(here / "model")
    assert main(["train", *WORDS]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rlx: ") and f"{here}/model" in error
    assert not [name for name in built(here) if name.startswith("SFT")]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("hello", "different prompts all become 'hello'"),
        ("{% for m in messages %}{{ m.role }} {% endfor %}", "different prompts all become"),
        ("{{ raise_exception('no') }}", "no"),
        ("{% for m in %}", "set model.chat_template to a Jinja file"),
        ("{{ messages.__class__.__mro__ }}", "set model.chat_template to a Jinja file"),
    ],
)
def test_a_template_that_cannot_show_prompts_is_one_line(here, capsys, template, says):
    (here / "own.jinja").write_text(template)
    assert main(["train", *WORDS, "model.chat_template=own.jinja", "world.as_chat=true"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rlx: ") and says in error and not built(here)


def test_a_context_that_is_shorter_than_prompt_and_completion_is_refused(here, capsys):
    assert main(["train", *WORDS, "world.max_completion_tokens=120"]) == 2
    assert "more than the 128 positions that the model knows" in capsys.readouterr().err
    assert not built(here)


def test_more_prompts_than_there_are_is_said_by_the_plan(here, caplog):
    assert main(["plan", *WORDS, "evaluation.final_num_prompts=5000"]) == 0
    assert "evaluation.final_num_prompts=5000: there are " in caplog.text


def test_no_more_held_out_prompts_are_encoded_than_are_asked_for(here, monkeypatch):
    encoded = []

    def counted(tokenizer, text):
        encoded.append(text)
        return encode_prompt(tokenizer, text)

    monkeypatch.setattr("rlx.engine.prompts.encode_prompt", counted)
    assert main(["plan", *WORDS, "evaluation.num_prompts=2", "evaluation.final_num_prompts=3"]) == 0
    assert len(encoded) == 3
