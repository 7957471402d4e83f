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
    """`no setting called 'key'`, with its new name where it has moved, or with the nearest of `known`."""
    if key.partition(".")[0] in MEASURING_GROUPS:
        return f"{key!r} is no setting of a run; it says how one is measured: rlx evaluate RUN decoder=fusion ..."
    if key in MOVED:
        return f"no setting called {key!r}: it holds for every optimizer and is now {MOVED[key]}"
    return f"no setting called {key!r}{nearest(key, known)}"


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
    if found := re.search(r"Could not override '([^']+)'", text):
        return UserError(no_setting(found[1], [*keys(), *groups()]))
    if found := re.search(r"Error merging override (\S+)\s*\n(.*)", text):
        return UserError(f"{found[1]}: {found[2][0].lower()}{found[2][1:]}")
    if found := re.search(r"Ambiguous value for argument '(.*)'", text):
        return UserError(f"{found[1]}: several values make a sweep, which needs -m; quote a text that holds a comma")
    if (override := getattr(error, "override", None)) is not None:
        hint = "settings are written key=value; quote a value that holds ( ) { } [ ] = , or spaces: key='\"a=b\"'"
        return UserError(f"cannot read {override!r}: {hint}")
    if found := re.search(r"Could not find '([^']*)'", text):
        group, _, choice = found[1].rpartition("/")
        known = list(groups())
        return UserError(unknown("group", group, known) if group not in known else f"no {group} called {choice!r}")
    if found := re.search(r"Interpolation key '([^']*)' not found(?:[^\n]*\n)*?\s+full_key: (\S+)", text):
        return UserError(f"{found[2]}: points to ${{{found[1]}}}, which does not exist in this config")
    if found := re.search(r"Missing mandatory value(?:[^\n]*\n)+?\s*full_key: (\S+)", text):
        return UserError(f"{found[1]} has no default: say {found[1]}=...")
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
