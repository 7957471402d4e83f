"""Whether another launcher (torchrun, `accelerate launch`, a pod of Kubernetes) started this process as one of several."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from rlx.core.error import UserError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torch's rendezvous reads
PATIENCE = 900  # s until the first process has opened the run


def launched() -> bool:
    """Return whether the environment says which of several processes this is; in rlx's own workers it does, too."""
    return all(os.environ.get(name) for name in VARIABLES)


def rank() -> int:
    """Return this process's number among those of another launcher; 0 without one."""
    return int(os.environ["RANK"]) if launched() else 0


def check(config: Mapping[str, Any]) -> None:
    """Raise UserError unless `compute` is made of as many processes as the other launcher started."""
    if not launched():
        return
    there, compute = int(os.environ["WORLD_SIZE"]), config["compute"]
    wanted = compute.get("num_processes") or 1
    if there != wanted:
        key = f"compute.num_processes={wanted}" if "num_processes" in compute else "compute=cpu is one process"
        raise UserError(
            f"{key}, and another launcher started WORLD_SIZE={there}: set compute=ddp or zero* and compute.num_processes="
            f"{there}, or unset RANK and WORLD_SIZE, and rlx starts its processes itself"
        )


def refuse(what: str) -> None:
    """Raise UserError for what one process does alone, where another launcher started several."""
    if launched() and int(os.environ["WORLD_SIZE"]) > 1:
        raise UserError(
            f"{what} is for one process, and another launcher started {os.environ['WORLD_SIZE']}: run it alone"
        )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until the first process has done `what`. It says itself why it does not, and its launcher then ends all."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise UserError(f"process 0 has not {what} in {PATIENCE // 60} minutes; look at what it says")
        time.sleep(0.1)
