"""conf/ mirrors rlx/: `group=choice` is conf/group/choice.yaml is rlx/group/choice.py, key for keyword."""

import ast
from pathlib import Path

import pytest
import yaml

from rlx.command.check import GROUPS, checked
from rlx.command.compose import compose, conf_dir
from rlx.command.decoding import decoders_of
from rlx.command.usage import default_choices, description
from rlx.command.wording import CLAIMS, MEASURING_GROUPS
from rlx.core.signature import ClassSource, signature

ROOT = Path(__file__).parents[1]
SCALES = sorted((conf_dir() / "scale").glob("*.yaml"))
DECLARED = {*SCALES, *(conf_dir() / CLAIMS).glob("*.yaml")}  # no choices of a class
YAMLS = sorted({path for path in conf_dir().rglob("*.yaml") if path.parent != conf_dir()} - DECLARED)
FOLDERS = sorted({path.relative_to(conf_dir()).parts[0] for path in YAMLS})


def name(path: Path) -> str:
    return path.relative_to(conf_dir()).with_suffix("").as_posix()


def content(path: Path) -> dict:
    return yaml.safe_load(path.read_text()) or {}


CHOICES = [path for path in YAMLS if "_target_" in content(path)]
PRESETS = [path for path in YAMLS if "_target_" not in content(path) and "defaults" in content(path)]


def test_every_group_of_the_config_is_a_folder_and_no_folder_is_idle():
    slots = {"sft": "supervised", "reward_model": "supervised"}
    assert {slots.get(group, group) for group in (*GROUPS, *MEASURING_GROUPS)} == set(FOLDERS)
    assert {key.rpartition("@")[2] for key in default_choices()} == {*GROUPS, "scale"}


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_a_yaml_is_a_choice_with_a_target_or_a_preset_of_one(path):
    group, _, choice = name(path).partition("/")
    assert path in CHOICES + PRESETS, f"{group}={choice}: its YAML needs a line `_target_: package.module.Class`"


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_a_choice_targets_the_class_in_the_file_of_its_own_name(path):
    group, _, choice = name(path).partition("/")
    module, _, _ = content(path)["_target_"].rpartition(".")
    assert module == f"rlx.{group}.{choice}"
    assert (ROOT / "rlx" / group / f"{choice}.py").is_file()


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_a_choices_keys_are_exactly_its_constructors_keywords(path):
    found = signature(content(path)["_target_"])
    assert set(content(path)) - {"_target_", "defaults"} == set(found.keywords)
    assert not found.open


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_a_choices_class_leaves_every_default_to_its_yaml(path):
    assert [key for key, keyword in signature(content(path)["_target_"]).keywords.items() if not keyword.required] == []


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_every_keyword_has_a_type_that_the_check_understands(path):
    from typing import Any

    unclear = [k for k, keyword in signature(content(path)["_target_"]).keywords.items() if keyword.kind is Any]
    assert unclear == []


@pytest.mark.parametrize("path", PRESETS, ids=name)
def test_a_preset_extends_one_choice_of_its_group_and_only_sets_what_that_has(path):
    keys = content(path)
    base, *overrides = keys.pop("defaults")
    assert all(key.startswith("override /") for override in overrides for key in override)
    assert (path.parent / f"{base}.yaml") in YAMLS
    assert set(keys) <= set(content(path.parent / f"{base}.yaml"))


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_every_setting_is_explained_and_every_choice_described(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ") and description(path), "the first line is a comment that says what the choice is"
    bare = [
        line
        for number, line in enumerate(lines)
        if ":" in line
        and not line.startswith(("#", "_target_", "defaults", " "))
        and "#" not in line
        and path in CHOICES
        and not (number and lines[number - 1].strip().startswith("#"))
    ]
    assert len(bare) <= len(lines) // 3, bare  # a key that its name explains may stand alone


def public_methods(node: ast.ClassDef) -> set[str]:
    return {n.name for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}


@pytest.mark.parametrize("group", FOLDERS)
def test_every_class_with_the_shape_of_its_group_has_a_yaml(group):
    """The shape is what the group's choices have in common: the methods that all of their classes define."""
    targets = [content(path)["_target_"].rpartition(".") for path in CHOICES if name(path).startswith(f"{group}/")]
    found = [ClassSource.of(module).find(cls) for module, _, cls in targets]
    shape = set.intersection(*(public_methods(pair[1]) for pair in found if pair))
    for path in sorted((ROOT / "rlx" / group).glob("[a-z]*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and shape and shape <= public_methods(node) and not node.bases:
                assert (conf_dir() / group / f"{path.stem}.yaml").is_file(), f"{path}: {node.name}"


def needed(path: Path) -> list[str]:
    """What a choice cannot be composed without: its mandatory values, and a model that reads real text."""
    group = path.relative_to(conf_dir()).parts[0]
    base = content(path)
    for parent in base.get("defaults", [])[:1]:
        base = content(path.parent / f"{parent}.yaml") | base
    if name(path) == "reward/function":
        return [f"reward.path={ROOT}/tests/reward/user_rewards.py:length"]
    overrides = [f"{group}.{key}=somewhere" for key, value in base.items() if value == "???"]
    if name(path) == "world/preferences" or (group == "world" and base.get("_target_", "").endswith("Preferences")):
        overrides += ["model=pretrained", "model.path=somewhere"]
        overrides += [] if base.get("path") else ["world.path=somewhere"]
    return overrides


OF_RUNS = [path for path in YAMLS if path.parent.name not in MEASURING_GROUPS]


@pytest.mark.parametrize("path", sorted(set(YAMLS) - set(OF_RUNS)), ids=name)
def test_every_choice_of_evaluate_alone_passes_the_check(path, tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    experts = [f"decoder.experts=[{tmp_path}]"] if "experts" in content(path) else []
    (found,) = decoders_of([f"decoder={path.stem}", *experts])
    assert set(found) == {*content(path), "choice"} and found["choice"] == path.stem


@pytest.mark.parametrize("path", OF_RUNS, ids=name)
def test_every_choice_composes_into_a_config_that_passes_the_check(path):
    group, _, choice = name(path).partition("/")
    slot = f"supervised@{content(path).get('defaults', [choice])[0]}" if group == "supervised" else group
    config = checked(compose([f"{slot}={choice}", *needed(path)])[0].config)
    assert config["choices"][slot.rpartition("@")[2]] == choice


def test_the_wheel_carries_the_configs():
    import tomllib

    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"] == {"conf": "rlx/conf"}
    assert ClassSource.of("rlx.cli").module == "rlx.cli"


def test_every_scale_sets_the_same_numbers_and_every_number_is_used():
    (keys,) = {frozenset(content(path)) for path in SCALES}
    text = "".join(path.read_text() for path in [*YAMLS, conf_dir() / "train.yaml"])
    assert {key for key in keys if f"${{scale.{key}}}" not in text} == set()


def test_a_models_preset_brings_the_scale_of_publications_and_the_command_line_has_the_last_word():
    (lab,) = compose([])
    (preset,) = compose(["model=pythia_1.4b", "num_prompts=256"])
    (small,) = compose(["model=pythia_1.4b", "scale=lab"])
    sizes = [(cell.config["num_steps"], cell.config["num_prompts"]) for cell in (lab, preset, small)]
    assert sizes == [(100, 64), (200, 256), (100, 64)]
    assert preset.config["compute"]["micro_batch_size"] == 8
    assert preset.config["torch_optimizer"]["schedule"] == "cosine"
    assert preset.config["reward_model"]["learning_rate_factors"] == [1.0, 0.3, 3.0]
    assert "scale" not in preset.config and preset.config["choices"]["scale"] == "research"
