"""`rlx evaluate RUN key=value ...`: a finished run's config with another way of measuring, never another way of training."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError, nearest

MEASURING = ("evaluation", "sampler", "compute", "world.gold")  # these and the keys below them


def overridden(config: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Return the checked config of a run with the overrides `words` in it: `sampler.temperature=.7`, `sampler=vllm`.

    Raises UserError for a word that is no override, that asks for several runs, or that changes what was trained, and
    for every value that `rlx train` would refuse.
    """
    changed = copy.deepcopy(dict(config))
    for key, value in keys_of(words).items():
        *path, last = key.split(".")
        if not path:  # a choice, with the values of its YAML
            (cell,) = compose([f"{key}={value}"])
            changed[key] = cell.config[key]
            changed["choices"] = {**changed["choices"], key: value}
            continue
        node = changed
        for name in path:
            node = node.get(name)
            if not isinstance(node, dict):
                raise UserError(f"no setting called {key!r}: the run's config has no {'.'.join(path)}")
        node[last] = value
    return checked(changed)


def keys_of(words: Sequence[str]) -> dict[str, Any]:
    """Return dotted key -> value of the overrides `words`, choices before the values below them. Raises UserError."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType
    from hydra.errors import HydraException

    found: dict[str, Any] = {}
    for word in words:
        try:
            (override,) = OverridesParser.create().parse_overrides([word])
        except HydraException:
            raise UserError(f"{word}: overrides are key=value, e.g. sampler.temperature=0.7") from None
        key = override.key_or_group
        if override.is_sweep_override():
            raise UserError(f"{word}: a run is measured in one way at a time; give one value")
        if override.type is not OverrideType.CHANGE:
            raise UserError(f"{word}: rlx evaluate takes key=value, without + or ~")
        if not any(key == prefix or key.startswith(f"{prefix}.") for prefix in MEASURING):
            raise UserError(
                f"{word}: rlx evaluate changes how a run is measured ({', '.join(MEASURING)}); "
                f"what was trained stays{nearest(key, MEASURING)}"
            )
        if key == "evaluation":
            raise UserError(f"{word}: has settings of its own; write evaluation.<setting>=value")
        found[key] = override.value()
    return dict(sorted(found.items(), key=lambda item: item[0].count(".")))
