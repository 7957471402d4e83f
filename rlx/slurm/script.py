"""job.sbatch: what a cluster is told about one run, as text."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.core.error import UserError
from rlx.core.settings import SlurmSettings
from rlx.process.stop import REQUEUE

# srun's codes after which there is more to do: all is saved; USR1 came before it could be handled; TERM came. Preemption
# sends TERM to srun's processes and not to the script, scancel to both: a script that sees the code was not cancelled.
GOES_ON = f"{REQUEUE}|{128 + 10}|{128 + 15}"
STRAGGLERS = 1800  # s that the other nodes have to end after the first: a collective may wait for the dead for hours

SCRIPT = """\
#!/bin/bash
# Written by `rlx submit`; `rlx submit {folder}` submits it again.
{lines}

folder={folder} # quoted here alone: what is in a variable is not read as shell again
# One launcher a node. None is killed when another fails: each says why it ended, and the first cause is kept.
srun --mpi=none --kill-on-bad-exit=0 --wait={stragglers} --cpus-per-task={cpus} {command}
code=$?
case $code in {goes_on}) # it was asked to leave, by the end of its time or a preemption, and has saved
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_requeues} ]; then
    echo "rlx: job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 # which ends this script
  else
    echo "rlx: job $SLURM_JOB_ID was requeued {max_requeues} times (slurm.max_requeues); rlx submit $folder goes on"
  fi ;;
esac
exit $code
"""


def job_script(folder: Path, verb: Sequence[str], compute: Mapping[str, Any], settings: SlurmSettings) -> str:
    """The script that runs `rlx VERB...` on the nodes that `compute` (a config's node) wants, its log in `folder`.

    Raises UserError for a setting that would end its line.
    """
    nodes, here = int(compute.get("num_nodes") or 1), int(compute.get("num_processes") or 1)
    here //= nodes
    gpus = settings.gpus if settings.gpus is not None else here if "num_processes" in compute else 0
    asked = {
        "job-name": folder.name,
        "nodes": nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": cpus_per_task(compute, settings),
        "gpus-per-node": gpus or None,
        "mem": settings.mem,
        "partition": settings.partition,
        "time": settings.time,
        "account": settings.account,
        "qos": settings.qos,
        "output": f"{str(folder).replace('%', '%%')}/{log_name('%j')}",
        "open-mode": "append",
        "requeue": True,
        # Without B: it goes to every process of the job's steps, and not to this shell.
        "signal": f"USR1@{settings.signal_before}",
    }
    lines = [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in asked.items() if value is not None
    ]
    for line in (*lines, *settings.extra):
        if "\n" in line or not line.startswith("-"):
            raise UserError(f"slurm: {line!r} is no option of sbatch: one line that starts with - is expected")
    return SCRIPT.format(
        folder=shlex.quote(str(folder)),
        lines="\n".join(f"#SBATCH {line}" for line in (*map(shlex.quote, lines), *settings.extra)),
        stragglers=STRAGGLERS,
        cpus=cpus_per_task(compute, settings),
        command=shlex.join([sys.executable, "-u", "-m", "rlx.cli", *verb]),
        goes_on=GOES_ON,
        max_requeues=settings.max_requeues,
    )


def cpus_per_task(compute: Mapping[str, Any], settings: SlurmSettings) -> int:
    """Of a node: as asked for, or one for each thread of torch."""
    here = int(compute.get("num_processes") or 1) // int(compute.get("num_nodes") or 1)
    return settings.cpus_per_task or here * int(compute.get("num_threads") or 1)


def log_name(job: str) -> str:
    """The file in a run directory that all attempts of a job print into."""
    return f"slurm-{job}.out"
