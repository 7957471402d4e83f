"""One of the processes that another launcher started: does its part of the work, and says in one line what ended all."""

import importlib
import os
import socket
import time
import traceback
import warnings
from pathlib import Path

from rlx.compute import cause
from rlx.compute.hang import worded
from rlx.compute.worker import leave
from rlx.core.error import UserError
from rlx.process import outer
from rlx.process.stop import Stopped

# By which `accelerate launch` tells a Trainer how to spread and round a model: here `compute` and `model.dtype` say it.
ACCELERATE = ("ACCELERATE_", "FSDP_")


def join(module: str, config: Path, logs: Path) -> None:
    """Run `module`.work(config) as one of the processes; raise what `rlx.compute.launcher.launch` raises. The processes tell one
    another in `logs` why they ended."""
    rank, size = outer.rank(), int(os.environ["WORLD_SIZE"])
    for name in [name for name in os.environ if name.startswith(ACCELERATE)]:
        del os.environ[name]
    # A pod with one process does not number it.
    os.environ |= {"LOCAL_RANK": os.environ.get("LOCAL_RANK", "0")}
    warnings.simplefilter("ignore", FutureWarning)  # what DeepSpeed and TRL will have to change
    cause.forget(logs, rank)
    try:
        importlib.import_module(module).work(config)
    except Stopped:
        if (first := cause.told_by_others(logs, rank, size)) is not None:  # it was stopped because of that one
            raise first from None
        raise
    except UserError as error:
        leave(str(error), user_error=True)
        raise cause.of_all_nodes(cause.Failure(str(error), time.time(), user_error=True), logs, rank, size) from None
    except Exception as error:
        traceback.print_exc()
        leave(worded(error), user_error=False)
        line = f"process {rank} on {socket.gethostname()} failed: {worded(error)}"
        raise cause.of_all_nodes(cause.Failure(line, time.time()), logs, rank, size) from error
