"""The state of a run: status.json in its directory, written by the process that works on it and read by everyone else."""

import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.process import atomic

STATUS = "status.json"
ENDED = ("failed", "interrupted", "done")


@dataclass(frozen=True)
class RunState:
    """The content of status.json. `state` is new (no file), running, interrupted, failed or done. `host` and `job`: the
    machine, and the cluster's job, that wrote it."""

    state: str
    reason: str = ""
    pid: int | None = None
    host: str | None = None
    job: str | None = None

    @property
    def elsewhere(self) -> bool:
        """On another machine than this, so that its process cannot be looked for."""
        return self.host not in (None, socket.gethostname())


def state_of(run_dir: Path) -> RunState:
    """Return the state of a run. A file that cannot be read counts as a run that was cut off, and so does a process of this
    machine that is gone."""
    try:
        status = json.loads((run_dir / STATUS).read_text(encoding="utf-8"))
        writer = (status.get("pid"), status.get("host"), status.get("job"))
        state = RunState(str(status["state"]), str(status.get("reason") or ""), *writer)
    except FileNotFoundError:
        return RunState("new")
    except (ValueError, KeyError, AttributeError, OSError):
        return RunState("interrupted", f"{STATUS} cannot be read")
    if state.state == "running" and not state.elsewhere and not _alive(state.pid):
        return RunState("interrupted", "its process is gone", *writer)
    return state


def status_of(run_dir: Path) -> dict[str, Any]:
    """Return all of status.json as it was written; {} if there is none. Raises UserError if it is no JSON object."""
    try:
        found = json.loads((run_dir / STATUS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as ex:
        raise UserError(f"{run_dir / STATUS} is not JSON: {ex}; delete it, and the same command goes on") from ex
    if not isinstance(found, dict):
        raise UserError(f"{run_dir / STATUS} holds no object; delete it, and the same command goes on")
    return found


def begin(run_dir: Path) -> None:
    """Write that this process works on the run. The time of its first start is kept."""
    started = _readable(run_dir).get("started") or _now()
    # The reader may be on another machine, where the number of a process says nothing.
    writer = {"pid": os.getpid(), "host": socket.gethostname(), "job": os.environ.get("SLURM_JOB_ID")}
    _write(run_dir, {"state": "running", "reason": "", "started": started, "ended": None, **writer})


def end(run_dir: Path, state: str, reason: str = "", shown: bool = True, **more: object) -> None:
    """Write that the run is done, interrupted or failed, with the reason. `shown=False`: its report and the end for its
    tracker are still to come. `more` is kept beside it."""
    _write(run_dir, _readable(run_dir) | {"state": state, "reason": reason, "ended": _now(), "shown": shown} | more)


def files_when_done(run_dir: Path) -> dict[str, tuple[int, str]]:
    """Return name -> length and hash of what the run had made when it ended; {} where status.json does not say."""
    files = _readable(run_dir).get("files")
    if not isinstance(files, dict):
        return {}
    return {str(name): (seal[0], seal[1]) for name, seal in files.items() if isinstance(seal, list) and len(seal) == 2}


def shown_in_full(run_dir: Path) -> bool:
    """Return False for a run whose process had come to its end but not to its report; True where status.json does not say."""
    return _readable(run_dir).get("shown") is not False


def note_failure(run_dir: Path, reason: str) -> None:
    """Write that the run has failed, unless status.json says how it ended. If another process is working on the run, leave
    its status alone."""
    if (state := state_of(run_dir)).state == "running" and state.pid != os.getpid():
        return
    status = _readable(run_dir) or {"started": _now()}
    if status.get("state") in ENDED:
        return
    _write(run_dir, status | {"state": "failed", "reason": reason, "ended": _now(), "pid": os.getpid()})


def forget(run_dir: Path) -> None:
    """Remove the state that an earlier attempt left."""
    (run_dir / STATUS).unlink(missing_ok=True)


def _readable(run_dir: Path) -> dict[str, Any]:
    """The same, with {} for a file that cannot be read: it is about to be replaced."""
    try:
        status = status_of(run_dir)
    except (UserError, OSError):
        return {}
    return status if isinstance(status, dict) else {}


def _write(run_dir: Path, status: dict[str, Any]) -> None:
    atomic.write(run_dir / STATUS, json.dumps(status, indent=1) + "\n")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


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
