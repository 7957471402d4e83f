"""One command, several processes: this one starts the workers of its machine through torch's elastic agent, which is what
torchrun calls, hands signals on to them, and says in one line what ended them."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from rlx.compute import cause, hang, loopback
from rlx.compute.joined import join
from rlx.core.error import UserError
from rlx.process import outer
from rlx.process.scratch import scratch
from rlx.process.stop import Stopped

RENDEZVOUS = 900  # s that nodes wait for one another: a cluster may start them minutes apart
CROWD = 8  # processes a core, at most, where there are no GPUs
LAST = 100_000  # characters of what a process printed that are looked at
# Exit code of a process that a signal ended, in its own time or before it could handle it -> the signal.
STOPS = {Stopped(number).code: number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
STOPS |= {-number: number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}


def launch(module: str, config: Path, compute: Any, logs: Path) -> None:
    """Run `module`.work(config) in compute.num_processes processes and wait for them; on more than one node, in this
    node's share of them. What they print lies in logs/<node>; the first process's is shown as well. Where another launcher
    has started the processes, this is one of them, and starts none.

    Raises UserError as a worker did, Stopped after a signal, and WorkerError with the failing worker's rank, reason and
    log for anything else.
    """
    if outer.launched():
        return join(module, config, logs)
    here = compute.num_processes // compute.num_nodes
    node, name, address = check_place(compute)
    if not address:
        loopback.use()
    cause.forget(logs, node)
    os.environ.setdefault("OMP_NUM_THREADS", str(compute.num_threads))
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(int(compute.grace))
    wanted = {
        "min_nodes": compute.num_nodes,
        "max_nodes": compute.num_nodes,
        "nproc_per_node": here,
        "run_id": name,
        "max_restarts": 0,
        "monitor_interval": 0.1,
        "rdzv_backend": "static" if address else loopback.BACKEND,
        "rdzv_endpoint": address,
        "rdzv_configs": {"rank": node, "timeout": RENDEZVOUS},
        "signals_to_handle": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
        "shutdown_timeout": int(compute.grace),
        "log_line_prefix_template": "[process ${rank}] ",
        "logs_specs": DefaultLogsSpecs(
            log_dir=str(logs / f"node{node}"),
            redirects=Std.ALL,
            tee={0: Std.ALL} if node == 0 else Std.NONE,
        ),
    }
    known = {field.name for field in dataclasses.fields(LaunchConfig)}  # some are newer than the oldest torch we take
    config_of_launch = LaunchConfig(**{key: value for key, value in wanted.items() if key in known})
    try:
        with _scratch():
            elastic_launch(config_of_launch, sys.executable)("-u", "-m", "rlx.compute.worker", module, str(config))
    except SignalException as ex:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGUSR1, signal.SIGTERM):  # more of them may come while we leave
                signal.signal(number, signal.SIG_IGN)
        raise Stopped(int(ex.sigval)) from None
    except ChildFailedError as ex:
        earliest = min(failure.timestamp for failure in ex.failures.values())
        worded = {
            rank: _worded(
                rank, failure, logs / f"node{node}", failure.timestamp >= earliest + max(1, compute.grace - 1)
            )
            for rank, failure in ex.failures.items()
        }
        rank = cause.first(worded)
        if worded[rank].stopped:
            raise Stopped(STOPS.get(ex.failures[rank].exitcode, signal.SIGTERM)) from None
        raise cause.of_all_nodes(worded[rank], logs, node, compute.num_nodes) from None


def check_place(compute: Any) -> tuple[int, str, str]:
    """Return this node's number, the job's name, and host:port of the first node. Raises UserError where this machine has no
    place for its share of the processes."""
    here, host = compute.num_processes // compute.num_nodes, socket.gethostname()
    asked = f"compute.num_processes={compute.num_processes} on {compute.num_nodes} node(s) takes"
    if torch.cuda.is_available():
        if torch.cuda.device_count() < here:
            raise UserError(f"{asked} {here} GPUs on each, and {host} has {torch.cuda.device_count()}; lower it")
    elif here > (most := CROWD * (os.cpu_count() or 1)):
        raise UserError(f"{asked} {here} processes on each, and {host} has no GPU, and cores for {most}; lower it")
    return _place(compute.num_nodes)


@contextmanager
def _scratch() -> Iterator[None]:
    """A directory for the temporary files of workers, who leave without clearing up."""
    before = os.environ.get("TMPDIR")
    with scratch() as folder:
        os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            os.environ.pop("TMPDIR")
            os.environ |= {} if before is None else {"TMPDIR": before}


def _worded(rank: int, failure: ProcessFailure, logs: Path, late: bool) -> cause.Failure:
    """`late`: by then, the launcher kills those that have not ended when they were told to."""
    said: Any = failure.error_file_data.get("message") if isinstance(failure.error_file_data, dict) else None
    said = said if isinstance(said, dict) else {}
    more: dict[str, Any] = said.get("extraInfo", {})
    if more.get("user_error"):
        return cause.Failure(said["message"], failure.timestamp, user_error=True)
    code = failure.exitcode
    where = _newest(logs, f"*/attempt_0/{failure.local_rank}/stderr.log") or logs
    reason = said.get("message") or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
    if code == -signal.SIGABRT and where.is_file():  # so NCCL's watchdog ends a process, whose Python says nothing
        printed = where.read_text(errors="replace", encoding="utf-8")[-LAST:]
        seconds = hang.in_vain(printed)
        reason = reason if seconds is None else hang.waited(seconds, hang.place_in(printed))
    line = f"process {rank} on {socket.gethostname()} failed: {reason}{_others(logs, reason)}; its output: {where}"
    return cause.Failure(line, failure.timestamp, stopped=code in STOPS or (code == -signal.SIGKILL and late))


def _others(logs: Path, reason: str) -> str:
    """Where processes of this node were that others waited for in vain: not in a collective when they were told to end."""
    if hang.VAIN_WORDS not in reason or (error := _newest(logs, "*/attempt_0")) is None:
        return ""
    stacks = {
        path.parent.name: path.read_text(errors="replace", encoding="utf-8")
        for path in sorted(error.glob(f"*/{hang.STACK}"))
    }
    places = {rank: hang.place_in(stack) for rank, stack in stacks.items() if not hang.in_collective(stack)}
    return "".join(f"; local process {rank} was at {place}" for rank, place in places.items() if place)


def _newest(logs: Path, pattern: str) -> Path | None:
    return max(logs.glob(pattern), key=lambda path: path.stat().st_mtime, default=None)


def _place(num_nodes: int) -> tuple[int, str, str]:
    """This node's number, the job's name, and host:port of the first node; none where it is the only one."""
    if num_nodes == 1:
        return 0, "rlx", ""
    if "SLURM_JOB_ID" in os.environ and "SLURM_NODEID" in os.environ:
        job = os.environ["SLURM_JOB_ID"]
        port = 20000 + int(job) % 12000  # one that no client of another connection is given
        return int(os.environ["SLURM_NODEID"]), job, f"{_first_slurm_node()}:{port}"
    if "RLX_NODE" in os.environ and "RLX_FIRST_NODE" in os.environ:
        return int(os.environ["RLX_NODE"]), "rlx", os.environ["RLX_FIRST_NODE"]
    raise UserError(
        f"compute.num_nodes={num_nodes}: start the same command on every node under Slurm (make slurm), or with RLX_NODE=<0, "
        "1, ...> and RLX_FIRST_NODE=<host:port of node 0> set"
    )


def _first_slurm_node() -> str:
    """As an address that resolves here: node names need not be host names."""

    def scontrol(*words: str) -> list[str]:
        return subprocess.run(["scontrol", "show", *words], capture_output=True, text=True, check=True).stdout.split()

    first = scontrol("hostnames", os.environ["SLURM_JOB_NODELIST"])[0]
    try:
        socket.getaddrinfo(first, None)
    except OSError:
        return next(word.split("=", 1)[1] for word in scontrol("node", first) if word.startswith("NodeAddr="))
    return first
