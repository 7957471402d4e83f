"""The rules of a choice are found beside it, without torch, and outside the repository too."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from rlx.core.error import UserError
from rlx.core.rules import advice_of, has_steps, kind, rules_of

ROOT = Path(__file__).parents[2]
BESIDE = sorted((ROOT / "rlx").rglob("*_rules.py"))


@pytest.mark.parametrize("path", BESIDE, ids=lambda path: path.stem)
def test_rules_stand_beside_a_choice_and_every_one_of_them_is_asked(path):
    assert (ROOT / "conf" / path.parent.name / f"{path.stem.removesuffix('_rules')}.yaml").is_file()
    module = importlib.import_module(f"rlx.{path.parent.name}.{path.stem}")
    asked = {*getattr(module, "RULES", ()), *getattr(module, "ADVICE", ())}
    of_config = {
        value
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__ and list(value.__annotations__) == ["config", "return"]
    }
    assert asked == of_config != set()


def test_no_rules_import_torch():
    names = [f"rlx.{path.parent.name}.{path.stem}" for path in BESIDE]
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_choice_of_ones_own_has_rules_and_advice_of_its_own(tmp_path, monkeypatch):
    package = tmp_path / "own_choice"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text("class Mine:\n    has_steps = False\n")
    (package / "mine_rules.py").write_text(
        "def beta_is_even(config):\n    return 'odd' if config['beta'] % 2 else None\n\n\nRULES = (beta_is_even,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = {"beta": 3, "optimizer": {"_target_": "own_choice.mine.Mine"}, "choices": {}}
    assert [rule(config) for rule in rules_of(config)] == ["odd"]
    assert advice_of(config) == [] and not has_steps(config)
    (package / "other.py").write_text("class Other: ...\n")
    (package / "other_rules.py").write_text("def rule(config) return\n")
    with pytest.raises(UserError, match=r"other_rules\.py cannot be imported"):
        rules_of({"reward": {"_target_": "own_choice.other.Other"}})


def test_a_class_has_the_rules_of_the_bases_whose_constructor_it_has(tmp_path, monkeypatch):
    (tmp_path / "own_world.py").write_text(
        "from rlx.world.lab import Lab\n\n\nclass Mine(Lab):\n    extra: int\n\n\n"
        "class Other(Lab):\n    def __init__(self, size: int): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    world = {"bad_share": 0.7, "good_share": 0.4}
    mine, other = ({"world": {"_target_": f"own_world.{name}", **world}} for name in ("Mine", "Other"))
    (line,) = [rule(mine) for rule in rules_of(mine)]
    assert line == "world.bad_share=0.7 and world.good_share=0.4 sum to more than 1; lower one of them"
    assert rules_of(other) == []


def test_the_choice_behind_a_preset_is_named_and_only_best_of_n_has_no_steps():
    config = {"model": {"_target_": "rlx.model.pretrained.Pretrained"}, "sft": {"_target_": "rlx.supervised.sft.SFT"}}
    assert kind(config, "model") == "pretrained" and kind(config, "sft", "supervised") == "sft"
    steps = {
        path.stem: has_steps({"optimizer": {"_target_": line.split()[1]}})
        for path in (ROOT / "conf" / "optimizer").glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("_target_")
    }
    assert len(steps) > 4 and {name for name, has in steps.items() if not has} == {"bon"}
