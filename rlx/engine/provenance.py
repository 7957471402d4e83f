"""Where a run's numbers come from: code, packages, machine, artefacts, and what each stage cost."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rlx.core.secret import masked
from rlx.process import processes

PACKAGES = (
    "rlx",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "deepspeed",
    "peft",
    "datasets",
    "hydra-core",
    "numpy",
    "scipy",
)


class Provenance:
    """Collected along a run; costs add up over interruptions."""

    def __init__(self, before: dict, warnings: list[str]) -> None:
        """`before`: what an interrupted attempt at the same run had written. `warnings` may grow while it runs."""
        self.costs: dict[str, float] = dict(before.get("costs", {}))
        self.artefacts: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.warnings = warnings

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds spent inside to costs[name]."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.costs[name] = self.costs.get(name, 0.0) + time.perf_counter() - start

    def content(self) -> dict:
        """JSON-able; measured anew at each call."""
        return {
            "command": masked(" ".join(["rlx", *sys.argv[1:]])),
            "git": git_state(Path(__file__).parent),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "machine": {
                "system": platform.platform(),
                "cpus": os.cpu_count(),
                "processor": processor(),
                "gpus": gpus(),
            },
            "processes": processes.size(),
            "artefacts": self.artefacts,
            "costs": {name: round(seconds, 2) for name, seconds in self.costs.items()},
            "counts": self.counts,
            "warnings": self.warnings,
        }


def git_state(folder: Path) -> dict[str, str | bool | None]:
    """The commit that `folder` is checked out at and whether tracked files differ; None outside a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no")) if commit else None}


def gpus() -> str:
    """Those that this process sees, by name."""
    if not torch.cuda.is_available():
        return ""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{len(names)} {names[0]}" if len(set(names)) == 1 else ", ".join(names)


def processor() -> str:
    """The processor's model name where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = (
        [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        if info.is_file()
        else []
    )
    return names[0] if names else platform.processor()
