"""What `rlx --help` and `rlx train --help [GROUP...]` print: read from the YAML files, so it cannot fall behind."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlx.command.compose import conf_dir, groups
from rlx.command.wording import MEASURING_GROUPS
from rlx.core.error import UserError, unknown
from rlx.core.signature import source_path

FLAGS = """\
  -m, --multirun        a sweep: every combination of the values given with commas, reward=single,warm seed=0,1,2
  --cfg job             print the composed config (--resolve: with its references filled in) and stop
  --info defaults-tree  where each part of the config comes from (also: config, plugins, searchpath)
  --config-dir DIR      your own choices, DIR/<group>/<choice>.yaml, beside those shipped
  --hydra-help          all that Hydra can be told"""


def commands(verbs: Mapping[str, str]) -> str:
    rows = "\n".join(f"  {name:<9} {what}" for name, what in verbs.items())
    return (
        "Optimise a language model against a reward, and find out whether it really got better.\n\n"
        f"usage: rlx COMMAND [ARGUMENTS...]\n\ncommands:\n{rows}\n\n"
        "For example:  rlx train reward=warm reference=soup\n"
        "`rlx COMMAND --help` tells more of one; `rlx --version` tells which rlx this is.\n"
        'Tab completion:  eval "$(rlx -sc install=bash)"   (also zsh, fish)'
    )


def verb(name: str, what: str, config_dir: Path | None) -> str:
    """All groups with their choices, the default marked, and the top-level settings."""
    defaults = default_choices()
    rows = []
    for group in groups(config_dir):
        names = [f"[{c}]" if defaults.get(group) == c else c for c in choices(group, config_dir)]
        rows.append(f"  {group + '=':<24} {' '.join(names)}")
    resolved = f"\n       rlx {name} RUN/config.yaml" if name in ("train", "submit") else ""
    return (
        f"{what[0].upper()}{what[1:]}.\n\n"
        f"usage: rlx {name} [GROUP=CHOICE...] [SETTING=VALUE...] [FLAGS...]{resolved}\n\n"
        f"groups, with their choices ([default]):\n"
        + "\n".join(rows)
        + f"\n\n`rlx {name} --help GROUP` tells more of one.\n\n"
        f"settings:\n{_indented(_top_level_text())}\n\nflags:\n{FLAGS}"
    )


def group(name: str, config_dir: Path | None) -> str:
    """Each choice of a group: what it is, and its YAML as it stands (comments say units, ranges, consequences)."""
    known = [*groups(config_dir), *MEASURING_GROUPS]
    slots = [known_name for known_name in known if known_name.rpartition("@")[2] == name]
    if name not in known and not slots:
        raise UserError(unknown("group", name, known))
    full = slots[0] if slots else name
    default = (default_choices() | MEASURING_GROUPS).get(full)
    parts = []
    for choice, path in choices(full, config_dir).items():
        mark = " (default)" if choice == default else ""
        parts.append(f"{full}={choice}{mark}: {description(path)}\n{_indented(_body(path))}")
    return "\n\n".join(parts)


def choices(name: str, config_dir: Path | None = None) -> dict[str, Path]:
    """choice -> its YAML; the user's directory goes before the shipped one."""
    found: dict[str, Path] = {}
    for root in (conf_dir(), config_dir):
        folder = root / name.partition("@")[0] if root else None
        if folder and folder.is_dir():
            found |= {p.relative_to(folder).with_suffix("").as_posix(): p for p in folder.rglob("*.yaml")}
    if "@" in name and (slot := name.partition("@")[2]) in found:
        return {slot: found[slot]}  # sft fits in no other slot than its own
    return dict(sorted(found.items()))


def default_choices() -> dict[str, str]:
    import yaml

    defaults = yaml.safe_load((conf_dir() / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [pair for item in defaults if isinstance(item, dict) for pair in item.items()]
    return {group: choice for group, choice in pairs if not group.startswith("override ")}


def description(path: Path) -> str:
    """The comment that a YAML opens with, or else the first sentence of its class's module."""
    import yaml

    lines = path.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# ").rstrip())
    if comment:
        return " ".join(comment)
    target = str((yaml.safe_load("\n".join(lines)) or {}).get("_target_", ""))
    source = source_path(target.rpartition(".")[0]) if target else None
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) if source else None
    return (docstring or "").split("\n\n")[0].replace("\n", " ")


def _body(path: Path) -> str:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(("#", "_target_"))]
    return "\n".join(lines).strip() or "# nothing to set"


def _top_level_text() -> str:
    text = (conf_dir() / "train.yaml").read_text(encoding="utf-8")
    start, end = text.index("\nseed:") + 1, text.index("\nhydra:")
    return "\n".join(line for line in text[start:end].splitlines() if line)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def words_of_help(arguments: Sequence[str]) -> tuple[list[str], Path | None] | None:
    """The groups that `--help` asks about and the --config-dir, or None if no help is asked for."""
    if not {"-h", "--help"} & set(arguments):
        return None
    words, directory, take = [], None, False
    for word in arguments:
        if take:
            directory, take = Path(word), False
        elif word in ("--config-dir", "-cd"):
            take = True
        elif word.startswith("--config-dir="):
            directory = Path(word.partition("=")[2])
        elif not word.startswith("-"):
            words.append(word.partition("=")[0])
    if directory is not None and not directory.is_dir():
        raise UserError(f"no config directory '{directory}' (--config-dir)")
    return words, directory
