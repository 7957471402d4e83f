"""Which packages a config may name in `_target_`. A config is data that others hand on, and it runs no code of its choice:

rlx's own groups, the packages that the YAML files of a `--config-dir` name, and those in the variable RLX_TRUST.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rlx.core.error import UserError

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
    """The packages in RLX_TRUST."""
    return {word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()}


def trust_choices_in(directory: Path) -> None:
    """Trust the packages that the choices in `directory` name, in this process and in those that it starts."""
    _trust(target.partition(".")[0] for path in sorted(directory.rglob("*.yaml")) for target in _targets(path))


def _targets(path: Path) -> list[str]:
    try:
        return TARGET.findall(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):  # whoever composes says what is wrong with it
        return []


def _trust(packages: Iterable[str]) -> None:
    if more := {package for package in packages if package != "rlx"} - trusted():
        os.environ[VARIABLE] = ",".join(sorted(trusted() | more))
