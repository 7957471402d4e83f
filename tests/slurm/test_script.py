"""The text of job.sbatch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlx.command.check import checked_slurm
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.process.stop import REQUEUE
from rlx.slurm.queue import environment
from rlx.slurm.script import job_script

ROOT = Path(__file__).parents[2]
RUN = Path("/scratch/runs/single-seed0")
EIGHT = {"num_processes": 16, "num_nodes": 2, "num_threads": 3}


def script(*settings: str, folder: Path = RUN, compute: dict | None = None) -> str:
    slurm = checked_slurm(compose(settings)[0].slurm)
    return job_script(folder, ["train", f"{folder}/config.yaml"], compute or {"num_threads": 1}, slurm)


def options(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]


def test_one_process_asks_for_one_task_and_no_gpu():
    assert options(script()) == [
        "--job-name=single-seed0",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=1",
        "--output=/scratch/runs/single-seed0/slurm-%j.out",
        "--open-mode=append",
        "--requeue",
        "--signal=USR1@300",
    ]


def test_several_nodes_have_one_launcher_each_and_a_gpu_and_its_threads_cores_for_every_process():
    text = script("slurm.partition=big", "slurm.time=1-00:00:00", "slurm.mem=64G", "slurm.account=us", compute=EIGHT)
    asked = options(text)
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--cpus-per-task=24", "--mem=64G"} <= set(asked)
    assert {"--partition=big", "--time=1-00:00:00", "--account=us"} <= set(asked)
    (srun,) = [line for line in text.splitlines() if line.startswith("srun ")]
    # srun takes the cores from its own line alone (since Slurm 22.05), and some clusters kill all tasks when one fails
    assert {"--cpus-per-task=24", "--kill-on-bad-exit=0", "--mpi=none"} <= set(srun.split())
    assert srun.endswith(f"{sys.executable} -u -m rlx.cli train {RUN}/config.yaml")


def test_what_is_asked_for_by_hand_goes_before_what_follows_from_compute():
    asked = options(script("slurm.gpus=0", "slurm.cpus_per_task=7", "slurm.signal_before=60", compute=EIGHT))
    assert not any("gpu" in option for option in asked)
    assert "--cpus-per-task=7" in asked and "--signal=USR1@60" in asked
    assert options(script('slurm.extra=["--constraint=a100","--exclude=n13"]'))[-2:] == [
        "--constraint=a100",
        "--exclude=n13",
    ]


def test_a_setting_that_is_no_option_is_refused():
    with pytest.raises(UserError, match="'constraint=a100' is no option of sbatch"):
        script('slurm.extra=["constraint=a100"]')


def test_directories_with_blanks_and_percent_signs_are_written_so_that_sbatch_and_the_shell_read_them():
    text = script(folder=Path("/my runs/50%"))
    assert "'--output=/my runs/50%%/slurm-%j.out'" in options(text)
    assert "train '/my runs/50%/config.yaml'" in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, timeout=240).returncode == 0


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"),
    [(0, 0, False), (1, 0, False), (85, 0, True), (138, 3, True), (143, 0, True), (137, 0, False), (85, 20, False)],
)
def test_only_a_run_that_saved_ahead_of_its_end_is_requeued_and_the_code_is_kept(code, restarts, requeued, tmp_path):
    """The script itself, with an srun that ends with `code` and a scontrol that notes its arguments."""
    for name, body in {"srun": f"exit {code}", "scontrol": f'echo "$*" >{tmp_path}/said', "sleep": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": str(restarts)}
    done = subprocess.run(["bash"], input=script(), text=True, env=env, capture_output=True, timeout=240)
    assert done.returncode == code
    said = tmp_path / "said"
    assert (said.read_text().strip() if said.exists() else "") == ("requeue 12" if requeued else "")
    assert ("slurm.max_requeues" in done.stdout) == (restarts == 20)


def test_a_jobs_own_variables_are_no_wishes_of_the_job_that_it_submits():
    inside = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_CONF": "/c", "SBATCH_CPU_BIND": "x", "HOME": "/h"}
    assert environment(inside, script()) == {"SLURM_CONF": "/c", "HOME": "/h"}


def test_a_shells_defaults_hold_where_the_line_does_not_say_otherwise():
    shell = {"SBATCH_PARTITION": "mine", "SBATCH_TIMELIMIT": "5", "SBATCH_CONSTRAINT": "a", "SBATCH_REQUEUE": "0"}
    assert environment(shell, script()).keys() == {"SBATCH_PARTITION", "SBATCH_TIMELIMIT", "SBATCH_CONSTRAINT"}
    assert environment(shell, script("slurm.partition=big", "slurm.time=60")).keys() == {"SBATCH_CONSTRAINT"}


@pytest.mark.parametrize(
    ("line", "submits"),
    [
        ("slurm", "submit reward=warm reference=soup"),
        (
            "slurm GPUS=1",
            "submit reward=warm reference=soup compute=ddp compute.num_processes=1 compute.num_nodes=1 slurm.gpus=1",
        ),
        (
            "slurm NODES=2 GPUS=8 PARTITION=big TIME=1-00:00:00",
            "submit reward=warm reference=soup compute=zero2 compute.num_processes=16 compute.num_nodes=2 slurm.gpus=8 "
            "slurm.partition=big slurm.time=1-00:00:00",
        ),
        (
            "slurm-sweep NODES=2 ARGS=compute=ddp",
            "submit -m compute=ddp compute.num_processes=2 compute.num_nodes=2 slurm.gpus=0",
        ),
        ("slurm-status RUN=runs/x", "status runs/x"),
    ],
)
def test_make_says_nodes_and_gpus_as_processes(line, submits):
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    env = {"PATH": os.environ["PATH"]}
    command = ["make", "--dry-run", *line.split()]
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=True).stdout
    assert " ".join(said.splitlines()[-1].split()).partition("/rlx ")[2] == submits


@pytest.mark.parametrize(
    "name", ["$(touch trace)", 'a"; touch trace; echo "b', "`touch trace`", "a'; touch trace; '", "a b"]
)
@pytest.mark.parametrize("restarts", ["0", "99"])
def test_no_name_of_a_run_is_read_as_shell(tmp_path, name, restarts):
    text = script(folder=Path("/runs") / name).replace("&& sleep 60", "")
    commands = f"srun() {{ return {REQUEUE}; }}\nscontrol() {{ :; }}\n"  # as the cluster's would answer
    env = {"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": restarts}
    done = subprocess.run(["bash", "-c", commands + text], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == REQUEUE and done.stderr == ""
    wanted = "goes back into the queue" if restarts == "0" else f"rlx submit /runs/{name} goes on"
    assert wanted in done.stdout
    assert not list(tmp_path.iterdir())
