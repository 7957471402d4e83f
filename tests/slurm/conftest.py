"""A real Slurm of two virtual nodes on this machine, for as long as the tests run; and the same runs without it."""

import functools
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.jobs import only_run

LAB = Path(__file__).parent / "lab.sh"
NODES = 2
PACKAGES = "apt-get install --no-install-recommends munge slurmctld slurmd slurm-client"


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Path]:
    """SLURM_CONF is set while it runs; the folder holds its logs."""
    if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip(f"no Slurm on this machine: {PACKAGES}")
    folder = tmp_path_factory.mktemp("slurm")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    env |= {"PORT": str(_free_ports(NODES + 1)), "NODES": str(NODES), "CPUS": "1"}
    subprocess.run([LAB, "start", folder], env=env, check=True, timeout=240)
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(env):
            patch.delenv(name)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        # An interrupted build of an extension leaves a lock behind, on which every later one would wait.
        patch.setenv("TORCH_EXTENSIONS_DIR", str(folder / "extensions"))
        try:
            yield folder
        finally:
            _cancel_all()
            subprocess.run([LAB, "stop", folder], env=env, check=False, timeout=240)


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(lab, cache, tmp_path, monkeypatch) -> Path:
    """An empty working directory on the cluster, with a store that these tests share."""
    monkeypatch.setenv("RLX_CACHE", str(cache))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained_here(cache, tmp_path_factory) -> Callable[..., Path]:
    """Train a line in two processes on this machine, without a cluster; the run directory. Each line once."""

    @functools.cache
    def train(*line: str) -> Path:
        folder = tmp_path_factory.mktemp("local")
        env = os.environ | {"RLX_CACHE": str(cache), "RLX_RUNS": str(folder / "runs")}
        command = [sys.executable, "-m", "rlx.cli", "train", *line, "compute.num_processes=2"]
        subprocess.run(command, env=env, check=True, timeout=300)
        return only_run(folder)

    return train


def _cancel_all() -> None:
    for partition in ("debug", "urgent"):  # scancel takes one name, and finds no job in "debug,urgent"
        subprocess.run(["scancel", f"--partition={partition}"], check=False, timeout=240)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, timeout=240).stdout
        if not left.strip():
            return
        time.sleep(0.5)


def _free_ports(number: int) -> int:
    """The first of `number` ports in a row that nobody listens on."""
    while True:
        base = random.randrange(20000, 30000)
        try:
            for port in range(base, base + number):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
