"""Which packages a config may name in `_target_`. A config is data that others hand on, and it runs no code of its choice:

rlx's own groups, the packages that the YAML files of a `--config-dir` name, and those in the variable RLX_TRUST. The same
holds for a Python file that a config names: the command line names it, or RLX_TRUST does.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.signature import constant
from rlx.core.user_function import parts

VARIABLE = "RLX_TRUST"  # comma-separated; processes that are started inherit it
OWN = ("world", "model", "supervised", "cleaner", "attribution", "reward", "reference", "regularizer", "optimizer", "decoder",
       "sampler", "compute", "tracker")  # fmt: skip
TARGET = re.compile(r"^\s*_target_:\s*['\"]?([\w.]+)", re.MULTILINE)


def check_trusted(target: str) -> None:
    """Raises UserError where `target` (package.module.Class) is neither of a group of rlx nor of a trusted package."""
    package, _, rest = target.partition(".")
    if package == "rlx":
        if rest.split(".")[0] not in OWN:
            raise UserError(f"_target_: {target} is no choice of a group ({', '.join(OWN)})")
    elif package not in trusted():
        raise UserError(
            f"_target_: {target} is outside of rlx, and a config runs no code of its choice; if you trust the package, give "
            f"the --config-dir with the choice, or set {VARIABLE}={package}"
        )


def trusted() -> set[str]:
    """The packages and files in RLX_TRUST."""
    return {word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()}


def trust_choices_in(directory: Path) -> None:
    """Trust the packages that the choices in `directory` name, in this process and in those that it starts."""
    _trust(target.partition(".")[0] for path in sorted(directory.rglob("*.yaml")) for target in _targets(path))


def check_trusted_file(file: Path, key: str) -> None:
    """Raises UserError where the Python file that the setting `key` names is not trusted."""
    if str(file) not in trusted():
        raise UserError(
            f"{key}: {file} is code, and a config runs no code of its choice; if you trust the file, name it on the command "
            f"line, or set {VARIABLE}={file}"
        )


def trust_files_of(config: Mapping[str, Any]) -> None:
    """Trust the Python files that the choices of a config name which its user has composed."""
    for node in config.values():
        if key := code_key(node):
            with contextlib.suppress(UserError):  # the rules of the choice say what is wrong with it
                _trust([str(parts(str(node.get(key)))[0])])


def code_key(node: Any) -> str | None:
    """Return the keyword of a choice that names code of the user (FILE.py:NAME), by the class attribute `code`."""
    return constant(str(node.get("_target_")), "code") if isinstance(node, Mapping) else None


def _targets(path: Path) -> list[str]:
    try:
        return TARGET.findall(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):  # whoever composes says what is wrong with it
        return []


def _trust(names: Iterable[str]) -> None:
    if more := {name for name in names if name != "rlx"} - trusted():
        os.environ[VARIABLE] = ",".join(sorted(trusted() | more))
