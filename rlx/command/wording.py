"""What the user reads when something is wrong: one line with the key, what it may be, and the nearest name."""

import re
from collections.abc import Callable, Iterable

from rlx.core.error import UserError, nearest, unknown

# Groups of `rlx evaluate` alone, no part of any run, with the choice that is made unless another is.
MEASURING_GROUPS = {"decoder": "plain"}
CLAIMS = "claim"  # the folder of conf/ whose files are no choices of a run
MOVED = {
    "optimizer.reward_clip": "proxy.clip",
    "optimizer.missing_eos_penalty": "proxy.missing_eos_penalty",
}  # old key -> where the setting is now


def no_setting(key: str, known: Iterable[str]) -> str:
    """`no setting called 'key'`, with its new name where it has moved, with the choices of its group that have it, or with
    the nearest of `known`."""
    if key.partition(".")[0] in MEASURING_GROUPS:
        return f"{key!r} is no setting of a run; it says how one is measured: rlx evaluate RUN decoder=fusion ..."
    if key in MOVED:
        return f"no setting called {key!r}: it holds for every optimizer and is now {MOVED[key]}"
    if others := _choices_with(key):
        return f"no setting called {key!r} with this choice of {key.partition('.')[0]}; there is with {others}"
    above = key.rpartition(".")[0]
    near = nearest(key, [name for name in known if not name.endswith("_target_") and name != above])
    return f"no setting called {key!r}{near or '; `rlx train --help` lists those there are'}"


def _choices_with(key: str) -> str:
    """`reward=warm, ensemble_mean`: those of the group of `key` whose own YAML file has it."""
    from rlx.command.usage import choices

    group, _, setting = key.partition(".")
    line = re.compile(rf"^{re.escape(setting.partition('.')[0])}:", re.MULTILINE)
    has = [name for name, path in choices(group).items() if setting and line.search(path.read_text(encoding="utf-8"))]
    return f"{group}={', '.join(has)}" if has else ""


def of_hydra(error: BaseException, keys: Callable[[], Iterable[str]], groups: Callable[[], Iterable[str]]) -> UserError:
    """Hydra's or OmegaConf's complaint in one line. `keys` and `groups` list what could have been meant."""
    text = "\n".join(_chain(error))
    options = getattr(error, "options", None)
    if (missing := getattr(error, "missing_cfg_file", None)) and options:
        group, _, choice = str(missing).rpartition("/")
        return UserError(unknown(group, choice, options))
    if found := re.search(r"Additional config directory '(.*)' not found", text):
        return UserError(f"no config directory {found[1]!r} (--config-dir)")
    if found := re.search(r"Key '([^']+)' (?:is )?not in[^\n]*\n\s+full_key: (\S+)", text):
        return UserError(no_setting(found[2], [*keys(), *groups()]))
    if found := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        return UserError(f"+{found[1]}: there is such a setting; write {found[1]}=... without the +")
    if found := re.search(r"Multiple values for (\S+)\. To override", text):
        return UserError(f"+{found[1]}: a run has one already; write {found[1]}=... without the +")
    if found := re.search(r"Could not override '([^']+)'", text):
        return UserError(no_setting(found[1], [*keys(), *groups()]))
    if found := re.search(r"Error merging override (\S+)\s*\n(.*)", text):
        return UserError(f"{found[1]}: {found[2][0].lower()}{found[2][1:]}")
    if found := re.search(r"Ambiguous value for argument '(.*)'", text):
        return UserError(f"{found[1]}: several values make a sweep, which needs -m; quote a text that holds a comma")
    if (override := getattr(error, "override", None)) is not None:
        if "=" not in str(override) and "/" in str(override):
            return UserError(f"{override}: no such run directory (and settings are written key=value)")
        hint = "settings are written key=value; quote a value that holds ( ) { } [ ] = , spaces or é: key='\"a=b\"'"
        return UserError(f"cannot read {override!r}: {hint}")
    if found := re.search(r"Could not find '([^']*)'", text):
        group, _, choice = found[1].rpartition("/")
        known = list(groups())
        return UserError(unknown("group", group, known) if group not in known else f"no {group} called {choice!r}")
    if found := re.search(r"Interpolation key '([^']*)' not found(?:[^\n]*\n)*?\s+full_key: (\S+)", text):
        return UserError(f"{found[2]}: points to ${{{found[1]}}}, which does not exist in this config")
    if found := re.search(r"Missing mandatory value(?:[^\n]*\n)+?\s*full_key: (\S+)", text):
        return UserError(f"{found[1]} has no default: say {found[1]}=...")
    if found := re.search(r"does not support sweep type : (\w+)_SWEEP", text):
        return UserError(f"-m: {found[1].lower()}(...) names no values to run; give them with commas, or range(0,5)")
    key = getattr(error, "full_key", None) or "a setting"
    if found := re.search(r"Environment variable '([^']*)' not found", text):
        return UserError(f"{key}: there is no environment variable {found[1]}; set it, or give {key}=...")
    if "Recursive interpolation" in text:
        return UserError(f"{key}: refers to itself; give a value")
    if found := re.search(r"Could not load '([^']*)'", text):
        return UserError(f"{found[1]}: no such YAML in the config directories; mend the `defaults` that name it")
    if found := re.search(r"in \"([^\"]+)\", line (\d+)", text):
        return UserError(f"{found[1]}:{found[2]} is not YAML: {text.strip().splitlines()[0]}")
    return UserError(" ".join(text.strip().split("\n")[0].split()) or type(error).__name__)


def _chain(error: BaseException | None) -> list[str]:
    """What the error and those that caused it say."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return [line for line in said if line]
