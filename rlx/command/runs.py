"""Run directories: opened for one cell, refused when the config drifted, left alone when done."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.run_name import content, differences, run_name


@dataclass(frozen=True)
class State:
    """What status.json says. `state` is new (no file), running, interrupted, failed or done."""

    state: str
    reason: str = ""
    pid: int | None = None


def run_dir_of(config: Mapping[str, Any]) -> Path:
    return Path(config["runs_dir"]) / run_name(config)


def state_of(run_dir: Path) -> State:
    """A file that cannot be read counts as a run that was cut off."""
    try:
        status = json.loads((run_dir / "status.json").read_text())
        state = State(str(status["state"]), str(status.get("reason") or ""), status.get("pid"))
    except FileNotFoundError:
        return State("new")
    except (ValueError, KeyError, AttributeError, OSError):
        return State("interrupted", "status.json cannot be read")
    if state.state == "running" and not _alive(state.pid):
        return State("interrupted", "its process is gone", state.pid)
    return state


def check_run_dir(config: Mapping[str, Any]) -> Path:
    """The run directory of `config`, which may not exist yet. Raises UserError if another config's run lies there or
    another process is at it; writes nothing."""
    run_dir = run_dir_of(config)
    if (run_dir / "config.yaml").exists():
        old, new = content(load_config(run_dir / "config.yaml")), content(config)
        if drift := differences(old, new):
            more = f" and {len(drift) - 4} more" if len(drift) > 4 else ""
            raise UserError(
                f"{shown(run_dir)} holds a run of another config: {', '.join(drift[:4])}{more}; "
                "choose another name=..., or delete the directory"
            )
    if (state := state_of(run_dir)).state == "running" and state.pid != os.getpid():
        raise UserError(f"{shown(run_dir)} is being worked on by process {state.pid}; wait for it or stop it")
    return run_dir


def open_run_dir(config: Mapping[str, Any], run_dir: Path) -> Path:
    """Make the directory with its resolved config.yaml; return the path of that file."""
    import yaml

    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "config.yaml"
    write_atomically(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


def load_config(path: Path) -> dict[str, Any]:
    """A resolved config.yaml, or UserError. OmegaConf reads it, to whom 1e-5 is a number (plain YAML says text)."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError:
        raise UserError(f"no file {shown(path)}") from None
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(path)} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise UserError(f"{shown(path)} is not a config: a mapping of settings is expected")
    return {str(key): value for key, value in config.items()}


def note_failure(run_dir: Path, reason: str) -> None:
    """Make sure that status.json tells of a failure, if whoever failed has not already."""
    try:
        status = json.loads((run_dir / "status.json").read_text())
    except (OSError, ValueError):
        status = {"started": _now()}
    if status.get("state") in ("failed", "interrupted", "done"):
        return
    status |= {"state": "failed", "reason": reason, "ended": _now(), "pid": os.getpid()}
    write_atomically(run_dir / "status.json", json.dumps(status, indent=1))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def shown(path: Path) -> str:
    """Relative to where the user is, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def _alive(pid: int | None) -> bool:
    """Whether `pid` is a process that may be a run of ours (a number is given again after a reboot)."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if sys.platform == "linux":
        try:
            return b"rlx" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    return True
