"""`rlx doctor`, of this machine; `rlx doctor key=value ...`, of the model that a run would start from."""

import argparse
from collections.abc import Sequence
from typing import Any

from rlx.core.error import UserError


def config_of(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The checked config of the run that is asked about; empty where the machine is. Raises UserError."""
    told = (
        "settings of rlx train, e.g. model=pretrained model.path=PATH: check that model, and whether a run of it fits"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=told)
    words = parser.parse_args(arguments).overrides
    if not words:
        return []
    from rlx.command.check import checked
    from rlx.command.compose import compose

    if other := next((word for word in words if "=" not in word), None):
        raise UserError(f"{other}: rlx doctor takes key=value, e.g. model=pretrained model.path={other}")
    chosen = dict(word.split("=", 1) for word in words)
    if "world" not in chosen and not chosen.get("model", "lab").startswith("lab"):
        words = ["world=preferences", "world.path=-", *words]  # which real models read; the data is not looked at
    return [checked(compose(words)[0].config)]
