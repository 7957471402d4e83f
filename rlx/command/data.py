"""A world's data is read before anything is made of it: what is wrong with it is said at once, and no directory is left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.command.places import check_model_folders
from rlx.core.build import build
from rlx.core.trust import code_key
from rlx.core.user_function import absolute, sha256_of


def examine(configs: Sequence[Mapping[str, Any]]) -> None:
    """Look at the folders of models, and let each different world among `configs` check its data, without torch. Raises
    UserError, naming the setting, or file and line."""
    for config in configs:
        check_model_folders(config)
    worlds = {json.dumps([config["world"], config["data_seed"]], sort_keys=True): config for config in configs}
    for config in worlds.values():
        build(config["world"]).check(config["data_seed"])


def with_absolute_paths(node: Mapping[str, Any]) -> dict[str, Any]:
    """A group's node in which every string that names a file or folder here is absolute, so that the run can go on from
    any other directory. A Hub id stays what it is unless a folder of that name is here, which then is what is meant."""
    return {key: _absolute(value) if key != "_target_" else value for key, value in node.items()}


def with_users_code(node: Any) -> Any:
    """A group's node with the absolute path and the hash of the Python file that it names, if it names one: a run is then
    of that content, and can go on from any other directory."""
    key = code_key(node)
    return node | {key: absolute(node[key]), "sha256": sha256_of(node[key])} if key else node


def _absolute(value: Any) -> Any:
    if isinstance(value, str) and value and len(value) < 1000 and "\n" not in value:
        path = Path(value).expanduser()
        if ("/" in value or "." in value) and path.exists():
            return str(path.absolute())
    return value
