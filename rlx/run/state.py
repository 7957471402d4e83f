"""Run directories: opened for one cell, refused when the config drifted, left alone when done."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.signature import takes
from rlx.process import atomic
from rlx.run.name import LATER, LATER_SETTINGS, content, differences, run_name
from rlx.run.status import STATUS, shown_in_full, state_of
from rlx.slurm.job import waiting_or_running
from rlx.slurm.queue import NoQueueError, queue


def run_dir_of(config: Mapping[str, Any]) -> Path:
    return Path(config["runs_dir"]) / run_name(config)


def lacks(run_dir: Path) -> bool:
    """Whether a run that is done lacks its report or its model's card, or its tracker does not know the rest: what its own
    files are enough for."""
    card = (run_dir / "model" / "README.md").is_file() or not has_model(run_dir)
    return not (shown_in_full(run_dir) and card and (run_dir / "report.html").is_file())


def has_model(run_dir: Path) -> bool:
    return (run_dir / "model" / "config.json").is_file()


def check_run_dir(config: Mapping[str, Any]) -> Path:
    """The run directory of `config`, which may not exist yet. Raises UserError if another config's run lies there or
    another process or job is at it; writes nothing."""
    run_dir = check_content(config)
    if (reason := at_work([run_dir]).get(run_dir)) is not None:
        raise UserError(reason)
    return run_dir


def check_content(config: Mapping[str, Any]) -> Path:
    """The same, whoever is at it."""
    run_dir = run_dir_of(config)
    if (run_dir / "config.yaml").exists():
        old, new = content(load_config(run_dir / "config.yaml")), content(config)
        if drift := differences(old, new):
            more = f" and {len(drift) - 4} more" if len(drift) > 4 else ""
            raise UserError(
                f"{short_path(run_dir)} holds a run of another config: {', '.join(drift[:4])}{more}; "
                "choose another name=..., or delete the directory"
            )
    return run_dir


def at_work(run_dirs: Sequence[Path]) -> dict[Path, str]:
    """Those of `run_dirs` that a process, or a job that waits or runs, has taken on: who, and what to do. A job that calls
    this is not told of itself."""
    found, own = {}, os.environ.get("SLURM_JOB_ID")
    states = {run_dir: state for run_dir in run_dirs if (state := state_of(run_dir)).state == "running"}
    try:
        jobs = waiting_or_running(run_dirs)
        known = queue(state.job for state in states.values() if state.job is not None and state.elsewhere)
    except NoQueueError:
        jobs, known = {}, None  # not on the cluster, or no longer: their status must do
    for run_dir, state in states.items():
        if not state.elsewhere and state.pid != os.getpid():
            found[run_dir] = f"{short_path(run_dir)} is being worked on by process {state.pid}; wait for it or stop it"
        elif state.elsewhere and (state.job is None or (state.job != own and (known is None or state.job in known))):
            found[run_dir] = (
                f"{short_path(run_dir)} is being worked on by process {state.pid} on {state.host}; wait for it or stop it "
                f"(if that machine is gone: delete {short_path(run_dir / STATUS)})"
            )
    for run_dir, job in jobs.items():
        if job.id != own:
            found[run_dir] = (
                f"{short_path(run_dir)} is what job {job.id} ({job.state}) is for; wait for it, or end it: scancel {job.id}"
            )
    return found


def holds(run_dir: Path, config: Mapping[str, Any]) -> bool:
    """Return whether `open_run_dir` was called for `config`, by whatever process."""
    return (run_dir / "config.yaml").exists() and load_config(run_dir / "config.yaml") == dict(config)


def open_run_dir(config: Mapping[str, Any], run_dir: Path) -> Path:
    """Make the directory with its resolved config.yaml; return the path of that file."""
    import yaml

    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{short_path(run_dir)} cannot be made ({error.strerror}); give another runs_dir=..."
        ) from error
    path = run_dir / "config.yaml"
    atomic.write(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


def load_config(path: Path) -> dict[str, Any]:
    """A resolved config.yaml, or UserError. OmegaConf reads it, to whom 1e-5 is a number (plain YAML says text). What runs
    of before have no group for is as it was then."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError:
        raise UserError(f"no file {short_path(path)}") from None
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{short_path(path)} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise UserError(f"{short_path(path)} is not a config: a mapping of settings is expected")
    whole = {**copy.deepcopy(LATER), **{str(key): value for key, value in config.items()}}
    for (group, key), value in LATER_SETTINGS.items():
        if isinstance(node := whole.get(group), dict) and key not in node and takes(str(node.get("_target_")), key):
            node[key] = value
    return whole


def short_path(path: Path) -> str:
    """Relative to where the user is, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
