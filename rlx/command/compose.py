"""The command line becomes cells: a resolved config for each run asked for, composed by Hydra; nothing is written."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.command.wording import CLAIMS, MEASURING_GROUPS, of_hydra
from rlx.core.error import UserError, nearest
from rlx.core.trust import trust_choices_in, trust_files_of
from rlx.process.scratch import scratch

# Parts of Hydra's own config that name classes or functions, which Hydra would make.
# Flags of Hydra that would compose something else -> what to do instead.
OTHERS = {
    "config_path": "rlx composes its own config; choices of your own: --config-dir DIR",
    "config_name": "rlx composes its own config; choices of your own: --config-dir DIR",
    "experimental_rerun": "`rlx train RUN` goes on with a run",
}
NAMES_CLASSES = ("hydra.callbacks", "hydra.job_logging", "hydra.hydra_logging", "hydra.hydra_help", "hydra.help")
PACKAGE = Path(__file__).resolve().parent.parent


def conf_dir() -> Path:
    """In a wheel the configs lie in rlx/conf; in a checkout (pip install -e .) beside the package, in conf/."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


@dataclass(frozen=True)
class ComposedRun:
    """One run that was asked for. `config` is resolved but not checked; `overrides` is what the user typed for it;
    `sweep` says how the cells of this command are run, `slurm` where and `plan` for what they are planned; none of them is
    part of a run."""

    config: dict[str, Any]
    overrides: tuple[str, ...]
    sweep: Any
    slurm: Any
    plan: Any


def compose(arguments: Sequence[str]) -> list[ComposedRun]:
    """The cells that `arguments` ask for: one, or one per point of a sweep (-m); none where Hydra only had to show
    something (--cfg job, --info). Raises UserError for what cannot be read or does not exist."""
    arguments = flags_last(arguments)
    asked = parse(arguments)
    extra = Path(asked.config_dir) if asked.config_dir else None
    if extra is not None and extra.is_dir():
        trust_choices_in(extra)
    for word in asked.overrides:
        if word.lstrip("+~").startswith(("hydra.run.", "hydra.sweep.", "hydra.output_subdir", "hydra.job.chdir")):
            raise UserError(f"{word}: rlx names its run directories itself; say runs_dir=... and name=...")
        if word.startswith("hydra=") or (word.lstrip("+~").startswith("hydra") and "_target_" in word):
            raise UserError(f"{word}: a config runs no code of its choice; leave it out")
        if word.lstrip("+~").startswith("hydra.sweeper.max_batch_size"):
            raise UserError(
                f"{word}: rlx composes all cells at once; sweep.num_parallel says how many of them run at once"
            )
        if word.lstrip("+~").startswith("hydra.searchpath"):
            raise UserError(f"{word}: rlx looks for choices of your own in one folder; say --config-dir DIR")
        if word.lstrip("+~").replace("/", ".").startswith(NAMES_CLASSES):
            raise UserError(f"{word}: a config runs no code of its choice, and rlx has logs of its own; leave it out")
        if word.startswith("hydra/launcher=") and word != "hydra/launcher=basic":  # any other would start at once
            raise UserError(f"{word}: rlx starts the cells of a sweep itself; on a cluster, as jobs: rlx submit -m ...")
        group, _, value = word.partition("=")
        if group in groups() and (value[:1] in tuple("0123456789.-+{") or value in ("null", "true", "false")):
            raise UserError(f"{word}: a choice is a name; `rlx train --help {group}` lists them")
        if value.startswith("[") and value.endswith("]") and group in groups():
            several = value.strip("[] ")
            more = f"one run for each: -m {group}={several}" if "," in several else f"write {group}={several or '...'}"
            raise UserError(f"{word}: a run has one {group.rpartition('@')[2]}; {more}")
    for name, instead in OTHERS.items():
        if getattr(asked, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: {instead}")
    if asked.package and not asked.cfg:
        raise UserError("--package says which part --cfg shows; say --cfg job, or leave it out")
    if shows(asked) or any(word.lstrip("+~").startswith("hydra") for word in asked.overrides):
        return _by_hydra(arguments)
    from rlx.command.composition import Composition

    composition = Composition(conf_dir(), extra)
    try:
        found = [_cell(*cell) for cell in composition.cells(asked.overrides, asked.multirun)]
        if not found:
            raise UserError("-m: these choices make no cell; a range or a glob(...) in them is empty")
        return found
    except Exception as error:
        raise _worded(error, arguments, composition.keys()) from error


def compose_lines(lines: Sequence[Sequence[str]]) -> list[ComposedRun]:
    """A cell for each line of overrides; what several lines choose alike is composed once. Raises UserError as `compose`."""
    from rlx.command.composition import Composition

    composition, found = Composition(conf_dir(), None), []
    for line in lines:
        try:
            found += [_cell(*cell) for cell in composition.cells(line, sweeps=False)]
        except Exception as error:
            raise _worded(error, line, composition.keys()) from error
    return found


def shows(asked: Any) -> bool:
    """Return whether a flag asks Hydra to show something (--cfg, --info) or to read other config files than rlx's."""
    ours = {"overrides", "multirun", "run", "config_dir"}
    return any(value not in (None, False) for name, value in vars(asked).items() if name not in ours)


def _by_hydra(arguments: Sequence[str]) -> list[ComposedRun]:
    """The same by `hydra.main`, to which some words of the line are addressed."""
    import hydra

    cells: list[ComposedRun] = []
    errors: list[Exception] = []
    with scratch() as litter:  # Hydra's sweeper insists on writing a multirun.yaml
        task = hydra.main(config_path=str(conf_dir()), config_name="train", version_base="1.3")(
            _collector(cells, errors)
        )
        run_hydra([f"hydra.sweep.dir={litter}", *arguments] if sweeps(arguments) else arguments, task)
    if errors:
        raise _worded(errors[0], arguments)
    return cells


def sweeps(arguments: Sequence[str]) -> bool:
    """Whether they ask for a sweep (-m)."""
    return parse(arguments).multirun or "hydra.mode=MULTIRUN" in arguments


def flags_last(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the overrides before the flags: Hydra reads no override that follows a flag after an override."""
    actions = _hydra_parser()._option_string_actions
    words, overrides, flags = list(arguments), [], []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        action = actions.get(word)
        if action is None or not words:
            continue
        if words[0] in (action.choices or ()) or (action.nargs is None and action.choices is None):
            flags.append(words.pop(0))
    return [*overrides, *flags]


def _collector(cells: list[ComposedRun], errors: list[Exception]) -> Callable[[Any], None]:
    """A task for Hydra that only notes what was composed, and what is wrong (Hydra would print it at length)."""

    def collect(cfg: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        try:
            cells.append(_cell(cfg, HydraConfig.get()))
        except Exception as error:
            errors.append(error)

    return collect


def _cell(cfg: Any, hydra_config: Any) -> ComposedRun:
    from rlx.command.composition import resolved

    _refuse_unknown_hydra_keys(hydra_config)
    config = resolved(cfg)
    choices = {str(group): choice for group, choice in hydra_config.runtime.choices.items()}
    own = {group.rpartition("@")[2]: choice for group, choice in choices.items() if not group.startswith("hydra/")}
    sweep, slurm, plan = (config.pop(name, None) for name in ("sweep", "slurm", "plan"))
    trust_files_of(config)
    config.pop("scale", None)  # its numbers are where the settings refer to them
    return ComposedRun(config | {"choices": own}, tuple(hydra_config.overrides.task), sweep, slurm, plan)


def parse(arguments: Sequence[str]) -> Any:
    """Hydra's flags and overrides; a flag that does not exist is one line instead of a page of usage."""
    parser = _hydra_parser()

    def refuse(message: str) -> None:
        raise UserError(f"{message}; `rlx train --help` lists what there is")

    parser.error = refuse  # pyright: ignore[reportAttributeAccessIssue]
    return parser.parse_args(list(arguments))


def _hydra_parser() -> Any:
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def run_hydra(arguments: Sequence[str], task: Callable[[], None]) -> None:
    """Call a @hydra.main function as if `arguments` had been typed, with its complaints raised as UserError."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise instead of print-and-exit, so that the message is ours
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            task()
        sys.stderr.write(said.getvalue())
    except SystemExit as stop:
        if stop.code and (line := said.getvalue().strip()):
            raise UserError(f"{line}; `rlx train --cfg job` shows all of it") from stop
        raise
    except Exception as error:
        raise _worded(error, arguments) from error
    finally:
        sys.argv = argv
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _worded(error: Exception, arguments: Sequence[str], keys: Sequence[str] = ()) -> Exception:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    known = (HydraException, OmegaConfBaseException, YAMLError, ValueError)
    if isinstance(error, UserError) or not isinstance(error, known):
        return error
    extra = parse(arguments).config_dir
    if isinstance(error, UnicodeDecodeError) and extra and (path := _undecodable(Path(extra))):
        return UserError(f"{path}: not UTF-8: byte 0x{error.object[error.start]:02x}; save the file as UTF-8")
    worded = of_hydra(error, lambda: keys or known_keys(arguments), lambda: groups(Path(extra) if extra else None))
    worded.__cause__ = error
    return worded


def _undecodable(folder: Path) -> Path | None:
    """The YAML file below `folder` that is not UTF-8."""
    for path in sorted(folder.rglob("*.yaml")):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return path
    return None


def _refuse_unknown_hydra_keys(hydra_config: Any) -> None:
    """Hydra's own node takes some unknown keys in silence (its launcher's, sweeper's and logging's)."""
    from hydra.conf import HydraConf

    known = {*HydraConf.__dataclass_fields__, "env"}
    for key in hydra_config:
        if key not in known:
            raise UserError(f"no setting called 'hydra.{key}'{nearest(f'hydra.{key}', [f'hydra.{k}' for k in known])}")
    for plugin, keys in {"launcher": {"_target_"}, "sweeper": {"_target_", "max_batch_size", "params"}}.items():
        node = hydra_config[plugin]
        if not str(node["_target_"]).startswith("hydra._internal.core_plugins.basic_"):
            raise UserError(f"hydra/{plugin}: only basic is supported; rlx runs the cells of a sweep itself")
        for key in node:
            if key not in keys:
                raise UserError(f"no setting called 'hydra.{plugin}.{key}'; there are: {', '.join(sorted(keys))}")


def known_keys(arguments: Sequence[str]) -> list[str]:
    """Every dotted key of the config with the group choices of `arguments`, so that near names can be offered."""
    from rlx.command.composition import Composition

    extra = parse(arguments).config_dir
    known = groups(Path(extra) if extra else None)
    chosen = [word for word in arguments if word.partition("=")[0] in known and "," not in word]
    for words in (chosen, []):
        try:
            composition = Composition(conf_dir(), Path(extra) if extra else None)
            next(composition.cells(words, sweeps=False))
            return composition.keys()
        except Exception:  # whatever else is wrong with the line, we only look for near names
            continue
    return []


def groups(extra: Path | None = None) -> list[str]:
    """The groups of the config directories that a run is composed of; `supervised` fills two slots."""
    found = {path.name for root in (conf_dir(), extra) if root for path in root.iterdir() if path.is_dir()}
    found -= {*MEASURING_GROUPS, CLAIMS}
    slots = {"supervised@sft", "supervised@reward_model"} if "supervised" in found else set()
    return sorted((found - {"supervised", "hydra"}) | slots)
