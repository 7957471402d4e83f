"""From a group's node in a config to the object that it describes."""

import importlib
from collections.abc import Mapping
from typing import Any

from rlx.core.trust import check_trusted


def build(node: Mapping[str, Any]) -> Any:
    """The class that `_target_` names, made with the node's other keys. The node has been checked against the class.

    Raises UserError where the class is of a package that is not trusted.
    """
    check_trusted(str(node["_target_"]))
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**{k: v for k, v in node.items() if k != "_target_"})
