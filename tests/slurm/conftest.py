"""A real Slurm of two virtual nodes on this machine, for as long as the tests run."""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    subprocess.run([LAB, "start", folder], env=env, check=True, timeout=60)
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
            subprocess.run([LAB, "stop", folder], env=env, check=False, timeout=60)


def _cancel_all() -> None:
    subprocess.run(["scancel", "--partition=debug,urgent"], check=False, timeout=30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, timeout=30).stdout
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
