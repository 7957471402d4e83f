"""What a choice says of a whole config before anything is loaded: rules and advice, each None or one line.

They stand beside the choice, in `<choice>_rules.py` (`rlx/optimizer/inpo_rules.py` for `rlx/optimizer/inpo.py`), which
may import nothing that imports torch, and has a tuple `RULES`, a tuple `ADVICE`, or both. A choice may do without.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from rlx.core.error import UserError
from rlx.core.signature import constant, source_path

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
    return _module(config.get(group)).removeprefix(f"rlx.{folder or group}.")


def has_steps(config: Config) -> bool:
    """Whether the policy learns over steps. Best-of-n draws once: `has_steps: ClassVar[bool] = False` in its class."""
    return constant(str(config["optimizer"]["_target_"]), "has_steps") is not False


def _of_choices(config: Config, name: str) -> list[Rule]:
    modules = [_module(node) for node in config.values() if isinstance(node, Mapping) and "_target_" in node]
    return [rule for module in dict.fromkeys(modules) for rule in _beside(module, name)]


def _beside(module: str, name: str) -> tuple[Rule, ...]:
    path = source_path(f"{module}_rules")
    if path is None:
        return ()
    try:
        return getattr(importlib.import_module(f"{module}_rules"), name, ())
    except (SyntaxError, ImportError) as error:
        raise UserError(f"{path} cannot be imported: {error}") from error


def _module(node: Any) -> str:
    return str((node or {}).get("_target_", "")).rpartition(".")[0]
