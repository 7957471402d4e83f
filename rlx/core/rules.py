"""Find the rules and the advice of the choices in a config. Each reads the whole config and returns None or one line.

They stand beside the choice, in `<choice>_rules.py` (`rlx/optimizer/inpo_rules.py` for `rlx/optimizer/inpo.py`). Such a
file has a tuple `RULES`, a tuple `ADVICE`, or both, and imports nothing that imports torch. It is optional. A class has
the rules of the bases whose constructor it has.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from rlx.core.error import UserError
from rlx.core.signature import constant, modules_of, source_path

Config = Mapping[str, Any]
Rule = Callable[[Config], str | None]


def rules_of(config: Config) -> list[Rule]:
    """The rules of all choices: a line is why the config cannot run."""
    return _of_choices(config, "RULES")


def advice_of(config: Config) -> list[Rule]:
    """The advice of all choices: a line is why the config will not do what its user most likely wants."""
    return _of_choices(config, "ADVICE")


def kind(config: Config, group: str, folder: str | None = None) -> str:
    """The choice behind a preset: "lab" for rlx.world.lab.Lab, whatever the YAML was called. `folder`: where the choices
    of a slot lie."""
    module = str((config.get(group) or {}).get("_target_", "")).rpartition(".")[0]
    return module.removeprefix(f"rlx.{folder or group}.")


def has_members(config: Config) -> bool:
    """Whether the reward is made of reward models. A reward of one's own is taken to be."""
    return constant(str(config["reward"]["_target_"]), "has_members") is not False


def has_steps(config: Config) -> bool:
    """Whether the policy learns over steps. Best-of-n, and a class derived from `BoN`, draws once instead."""
    return constant(str(config["optimizer"]["_target_"]), "has_steps") is not False


def _of_choices(config: Config, name: str) -> list[Rule]:
    targets = [str(node["_target_"]) for node in config.values() if isinstance(node, Mapping) and "_target_" in node]
    modules = dict.fromkeys(module for target in targets for module in modules_of(target))
    return [rule for module in modules for rule in _beside(module, name)]


def _beside(module: str, name: str) -> tuple[Rule, ...]:
    path = source_path(f"{module}_rules")
    if path is None:
        return ()
    try:
        return getattr(importlib.import_module(f"{module}_rules"), name, ())
    except (SyntaxError, ImportError) as error:
        raise UserError(f"{path} cannot be imported: {error}") from error
