"""Can this config run? Every key and value against its class's keywords, before anything is loaded or written."""

import dataclasses
import json
import math
import re
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from rlx.command.data import with_absolute_paths, with_users_code
from rlx.command.places import check_places
from rlx.command.rules import broken_rule
from rlx.command.wording import no_setting
from rlx.core.claim import Claim
from rlx.core.error import UserError, nearest
from rlx.core.settings import PlanSettings, Settings, SlurmSettings, SweepSettings
from rlx.core.signature import Keyword, Signature, signature
from rlx.core.trust import check_trusted
from rlx.run.name import is_external
from rlx.tabular.settings import SurveySettings

# Texts that sbatch would refuse, or a later job be ended by: the form, and how it is written.
SLURM_FORMS = {
    "time": (r"(\d+-)?\d+(:\d+){0,2}", "minutes, hours:minutes:seconds or days-hours"),
    "mem": (r"\d+[KMGT]?B?", "MB, or a number with a unit: 64G"),
}
GROUPS = (
    "world",
    "model",
    "sft",
    "reward_model",
    "cleaner",
    "attribution",
    "reward",
    "reference",
    "regularizer",
    "optimizer",
    "sampler",
    "compute",
    "tracker",
)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with every number in its annotated type (so that 1 and 1.0 are one content) and absolute directories.

    Raises UserError for an unknown or missing key, an impossible value or an impossible combination.
    """
    if is_external(config):
        again = f"--policy {config['policy']} --start {config['start']} key=value"
        if "run" in config:  # of a run's policy as a decoder draws from it
            again = f"{config['run']} decoder={config['decoder']['choice']} ..."
        raise UserError(f"this is a measurement of a policy, and no run; measure it again with rlx evaluate {again}")
    result = _checked_keywords(config, _signature_of(Settings, also=(*GROUPS, "choices")), "")
    for group in GROUPS:
        node = config[group]
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise UserError(f"{_choice_of(config, group)}: its YAML needs a line `_target_: package.module.Class`")
        result[group] = _checked_target(node, group)
    result["choices"] = dict(config["choices"])
    if (line := broken_rule(result)) is not None:
        raise UserError(line)
    for group in ("world", "model"):
        result[group] = with_absolute_paths(result[group])
    result = {key: with_users_code(node) for key, node in result.items()}
    check_places(result)
    for key in ("cache_dir", "runs_dir"):
        result[key] = str(Path(result[key]).expanduser().absolute())
    return result


def _choice_of(config: Mapping[str, Any], group: str) -> str:
    """How the choice is typed: `reward=mine`, or `supervised@sft=mine` in one of that group's slots."""
    slot = f"supervised@{group}" if group in ("sft", "reward_model") else group
    return f"{slot}={config['choices'].get(group)}"


def checked_choice(node: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The node of one choice of `group`. Raises UserError as `checked` does."""
    return _checked_target(node, group)


def checked_sweep(node: Any) -> SweepSettings:
    """The `sweep` node of the composed config. Raises UserError as `checked` does."""
    return SweepSettings(**_checked_value(node, SweepSettings, "sweep"))


def checked_slurm(node: Any) -> SlurmSettings:
    """The `slurm` node of the composed config. Raises UserError as `checked` does."""
    values = _checked_value(node, SlurmSettings, "slurm")
    for name, (form, written) in SLURM_FORMS.items():
        if isinstance(value := values[name], str) and not re.fullmatch(form, value):
            raise UserError(f"slurm.{name}={value}: must be {written}")
    return SlurmSettings(**values)


def checked_plan(node: Any) -> PlanSettings:
    """The `plan` node of the composed config. Raises UserError as `checked` does."""
    return PlanSettings(**_checked_value(node, PlanSettings, "plan"))


def checked_survey(node: Any) -> SurveySettings:
    """The settings of `rlx survey`. Raises UserError as `checked` does."""
    values = _checked_keywords(node, _signature_of(SurveySettings), "")
    return TypeAdapter(SurveySettings).validate_python(values)


def checked_claim(node: Any) -> Claim:
    """What a file of conf/claim declares. Raises UserError as `checked` does."""
    values = _checked_keywords(node, _signature_of(Claim), "")
    return TypeAdapter(Claim).validate_python(values)


def _checked_target(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    target = node["_target_"]
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{key}._target_={_shown(target)}: no class; write package.module.Class")
    folder = "supervised" if key in ("sft", "reward_model") else key
    if key in GROUPS and target.startswith("rlx.") and not target.startswith(f"rlx.{folder}."):
        raise UserError(f"{key}._target_={target}: not of {key}; choose one of its own: `rlx train --help {folder}`")
    try:
        check_trusted(str(target))
        found = signature(str(target))
    except UserError as error:
        raise UserError(f"{key}.{error}") from None
    except SyntaxError as error:
        raise UserError(f"{key}._target_: {error.filename}:{error.lineno} is not Python: {error.msg}") from None
    keywords = {name: value for name, value in node.items() if name != "_target_"}
    return {"_target_": target, **_checked_keywords(keywords, found, f"{key}.")}


def _checked_keywords(values: Mapping[str, Any], found: Signature, prefix: str) -> dict[str, Any]:
    for name in values:
        if name not in found.keywords and not found.open:
            known = [f"{prefix}{keyword}" for keyword in found.keywords]
            raise UserError(no_setting(f"{prefix}{name}", known))
    for name, keyword in found.keywords.items():
        if keyword.required and name not in values:
            raise UserError(f"{prefix}{name} is missing; give {prefix}{name}=...")
    return {
        name: _checked_value(value, found.keywords[name].kind if name in found.keywords else Any, f"{prefix}{name}")
        for name, value in values.items()
    }


def _checked_value(value: Any, kind: Any, key: str) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        return _checked_target(value, key)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise UserError(f"{key}={_shown(value)}: has settings of its own; write {key}.<setting>=value")
        return _checked_keywords(value, _signature_of(kind), f"{key}.")
    if isinstance(value, float) and math.isnan(value):
        raise UserError(f"{key}=nan: not a number")
    adapter = _adapter(kind)
    if adapter is None:
        return value
    try:
        # JSON's strict mode: a list may be a tuple and an int a float, but true is no 1 and "1" no number.
        return _plain(adapter.validate_json(json.dumps(value), strict=True))
    except ValidationError as error:
        raise UserError(_worded(error, value, key)) from None


@cache
def _signature_of(settings: type, also: tuple[str, ...] = ()) -> Signature:
    """The fields of a dataclass of ours that is free of torch, and so may be imported."""
    own = {
        name: Keyword(kind, required=True)
        for name, kind in typing.get_type_hints(settings, include_extras=True).items()
    }
    return Signature(own | {name: Keyword(Any, required=True) for name in also}, open=False)


def _adapter(kind: Any) -> TypeAdapter[Any] | None:
    try:
        return _made_adapter(kind) if isinstance(kind, Hashable) else TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None  # a class of the user's own; its constructor will say


@cache
def _made_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _plain(value: Any) -> Any:
    """As YAML would hold it."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _worded(error: ValidationError, value: Any, key: str) -> str:
    problems = error.errors()
    place = [part for part in problems[0]["loc"] if isinstance(part, int)]
    for index in place:
        value = value[index]
    key = ".".join([key, *map(str, place)])
    wanted = list(dict.fromkeys(_wanted(problem) for problem in problems))
    literals = [
        str(problem.get("ctx", {}).get("expected")) for problem in problems if problem["type"] == "literal_error"
    ]
    names = [word.strip("' ") for text in literals for word in text.replace(" or ", ", ").split(",")]
    near = nearest(value, names) if isinstance(value, str) else ""
    more = near + _without_space(value) + ("" if place else _several(value, key))
    return f"{key}={_shown(value)}: must be {' or '.join(wanted)}{more}"


def _without_space(value: Any) -> str:
    """For {a:1}, which YAML reads as a key without a value."""
    if not isinstance(value, Mapping) or not any(":" in str(name) and item is None for name, item in value.items()):
        return ""
    return "; write a space after each colon: {a: 1}"


def _several(value: Any, key: str) -> str:
    """For a list where one value belongs: how to run one after the other."""
    if not isinstance(value, list) or not value or any(isinstance(item, list | Mapping) for item in value):
        return ""
    return f"; one run for each: -m {key}={','.join(_shown(item) for item in value)}"


def _wanted(problem: Any) -> str:
    limits = problem.get("ctx") or {}
    match problem["type"]:
        case "greater_than":
            return f"more than {limits['gt']:g}"
        case "greater_than_equal":
            return f"at least {limits['ge']:g}"
        case "less_than":
            return f"less than {limits['lt']:g}"
        case "less_than_equal":
            return f"at most {limits['le']:,}" if isinstance(limits["le"], int) else f"at most {limits['le']:g}"
        case "finite_number":
            return "a finite number"
        case "float_type" | "float_parsing":
            return "a number"
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type":
            return "text (quote a number that is a name: '\"7\"')"
        case "list_type" | "tuple_type":
            return "a list: [1, 2]"
        case "literal_error":
            return f"{limits['expected']}"
        case "none_required":
            return "null"
        case _:
            return str(problem["msg"]).removeprefix("Input should be ")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str).replace("Infinity", "inf")
    return text if len(text) <= 60 else text[:57] + "..."
