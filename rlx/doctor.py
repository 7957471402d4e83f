"""`rlx doctor`: is this machine ready to train? Each finding is ok or a warning that says what to do."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx.core.finding import Finding
from rlx.estimate.duration import threads
from rlx.estimate.size import ModelSize

PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "peft", "datasets", "hydra-core", "wandb")
GIGABYTE = 1e9
Check = Callable[[], Iterator[Finding]]


def run(config: Mapping[str, Any] | None = None) -> int:
    """Print the findings about this machine, or about the model of a checked `config` and whether a run of it fits this
    machine. 1 if any of them would stop a train or make it wrong, else 0."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.width = max(console.width, 100)
    table = Table("", "what", "found", "what to do", box=SIMPLE_HEAD)
    failed = False
    for finding in findings(CHECKS if config is None else checks_of(config)):
        failed |= bool(finding.todo) and not finding.note
        mark = "[green]ok[/]" if not finding.todo else "[cyan]note[/]" if finding.note else "[yellow]warn[/]"
        table.add_row(mark, *(text.replace("[", "\\[") for text in finding[:3]))
    console.print(table)
    return int(failed)


def findings(checks: Sequence[Check]) -> Iterator[Finding]:
    """Every check's findings; a check that breaks is itself a finding."""
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a broken installation is what a doctor is called for
            yield Finding(
                check.__name__, f"{type(error).__name__}: {error}", "this check could not be made; see the error"
            )


def python_and_packages() -> Iterator[Finding]:
    fine = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding("Python", platform.python_version(), "" if fine else "rlx is tested on Python 3.11 to 3.13")
    from packaging.requirements import Requirement

    bounds = {
        r.name: r.specifier for r in map(Requirement, importlib.metadata.requires("rlx") or []) if r.marker is None
    }
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", "pip install -e . (or make setup)")
            continue
        wanted = bounds.get(name)
        fits = wanted is None or wanted.contains(version, prereleases=True)
        yield Finding(name, version, "" if fits else f"rlx wants {name}{wanted}: run make setup")


def processor() -> Iterator[Finding]:
    flags = set()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    extra = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    yield Finding(
        "CPU", f"{threads()} of {os.cpu_count()} threads usable; {', '.join(extra) or 'no vector extensions seen'}"
    )
    asked = os.environ.get("OMP_NUM_THREADS")
    if asked and asked.isdigit() and int(asked) > threads():
        yield Finding(
            "OMP_NUM_THREADS", asked, f"more than the {threads()} threads there are: unset it or set it lower"
        )
    load = os.getloadavg()[0]
    busy = load > threads() * 1.5
    yield Finding(
        "load", f"{load:.1f}", "other work is running: times will be longer than planned" if busy else "", note=True
    )


def memory() -> Iterator[Finding]:
    import psutil

    available = psutil.virtual_memory().available
    todo = "" if available > 2 * GIGABYTE else "less than 2 GB: even the lab may be stopped for lack of memory"
    yield Finding("memory", f"{available / GIGABYTE:.1f} GB available", todo)


def accelerator() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        built = "" if torch.version.cuda is None else "torch was built for CUDA, but finds no GPU: see nvidia-smi"
        if built and shutil.which("nvidia-smi") is None:
            built = ""
        yield Finding("GPU", "none; the lab world needs none", built)
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(f"GPU {index}", f"{properties.name}, {properties.total_memory / GIGABYTE:.0f} GB")
    supported = torch.cuda.is_bf16_supported()
    yield Finding(
        "bf16", "supported" if supported else "not supported", "" if supported else "choose model.dtype=float32"
    )


def deepspeed() -> Iterator[Finding]:
    for tool, found in (
        ("g++", shutil.which("g++")),
        ("ninja", shutil.which("ninja") or importlib.util.find_spec("ninja")),
    ):
        todo = "" if found else f"DeepSpeed compiles its kernels with {tool}: install it before a multi-process run"
        yield Finding(tool, "there" if found else "missing", todo, note=True)
    root = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions")
    for lock in root.glob("**/lock") if root.is_dir() else ():
        yield Finding(
            "stale lock", str(lock), "an interrupted build left it and later ones wait for it: delete it if none runs"
        )


def trackers() -> Iterator[Finding]:
    import netrc

    key = bool(os.environ.get("WANDB_API_KEY"))
    if not key:
        try:
            key = netrc.netrc().authenticators("api.wandb.ai") is not None
        except (OSError, netrc.NetrcParseError):
            key = False
    todo = "" if key else "runs are kept offline: `wandb login`, or tracker=jsonl, or `wandb sync` later"
    yield Finding("W&B", "a key is set" if key else "no key", todo, note=True)


def hub() -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    todo = "only models in the cache can be used; unset HF_HUB_OFFLINE to download" if HF_HUB_OFFLINE else ""
    yield Finding("Hub cache", f"{HF_HUB_CACHE}{', offline' if HF_HUB_OFFLINE else ''}", todo, note=True)


def checks_of(config: Mapping[str, Any]) -> tuple[Check, ...]:
    """The checks of the model that a checked config names."""

    def model() -> Iterator[Finding]:
        from rlx.model.examination import examined

        if "path" in config["model"]:
            yield from examined(config["model"], config["world"])
        else:
            yield Finding("model", f"{config['choices']['model']}, shipped with rlx")

    def weights_and_memory() -> Iterator[Finding]:
        from rlx.estimate.size import known_size

        size = known_size(config["model"])
        if size is None:
            yield Finding("size", "unknown", "nothing that is at hand tells its number of parameters", note=True)
            return
        dtype = config["model"].get("dtype", "float32")
        yield Finding(
            "size", f"{size.parameters:,} parameters, {size.weights / GIGABYTE:.3g} GB in {dtype} ({size.source})"
        )
        yield fits(config, size)

    return (model, weights_and_memory)


def fits(config: Mapping[str, Any], size: ModelSize) -> Finding:
    """Whether a process of the run that `config` describes fits this machine, by the arithmetic of `rlx plan`."""
    import psutil
    import torch

    from rlx.estimate.held import most
    from rlx.estimate.memory import held
    from rlx.estimate.sharing import sharing_of

    needed, where = most(held(config, size)), "memory"
    available = psutil.virtual_memory().available
    if not sharing_of(config).on_cpu and torch.cuda.is_available():
        available, where = torch.cuda.get_device_properties(0).total_memory, "memory of a GPU"
    told = f"about {needed / GIGABYTE:.3g} GB a process, of {available / GIGABYTE:.3g} GB {where}"
    less = "model.lora_rank=8, model.dtype=bfloat16, shorter completions or fewer reward models take less"
    return Finding(
        "a run", told, "" if needed < available else f"{less}; rlx plan with the same words says where it goes"
    )


def places() -> Iterator[Finding]:
    cache, runs = cache_dir(), Path(os.environ.get("RLX_RUNS", "runs")).absolute()
    for subject, path, variable in (("artefacts", cache, "RLX_CACHE"), ("runs", runs, "RLX_RUNS")):
        existing = path
        while not existing.exists():
            existing = existing.parent
        try:
            with tempfile.TemporaryFile(dir=existing):
                todo = ""
        except OSError as error:
            todo = f"cannot be written ({error.strerror}): set {variable} to another directory"
        free = shutil.disk_usage(existing).free
        if not todo and free < 2 * GIGABYTE:
            todo = f"less than 2 GB free: set {variable} to a larger disk"
        yield Finding(f"{subject} directory", f"{path}, {free / GIGABYTE:.0f} GB free", todo)


def store() -> Iterator[Finding]:
    from filelock import FileLock, Timeout

    from rlx.artefact.store import MANIFEST, damaged

    root = cache_dir()
    if not root.is_dir():
        yield Finding("artefacts", "none yet")
        return
    whole = [path.parent for path in root.glob(f"*/{MANIFEST}")]
    size = sum(file.stat().st_size for path in whole for file in path.rglob("*") if file.is_file())
    yield Finding("artefacts", f"{len(whole)}, {size / GIGABYTE:.2g} GB")
    for path in whole:
        if (damage := damaged(path)) is not None:
            yield Finding(
                "artefact", f"{path.name}: {damage}", "the next train builds it again; nothing to do", note=True
            )
    building = set()
    for file in root.glob("*.lock"):
        try:
            with FileLock(file, timeout=0):
                pass
        except Timeout:
            building.add(file.name.removesuffix(".lock"))
            yield Finding("artefact", f"{file.stem} is being built", "another process is at it", note=True)
    for path in root.glob("*.tmp"):
        if not any(path.name.startswith(f"{name}.") for name in building):
            yield Finding(
                "leftover",
                str(path),
                "a build was killed; the next build of the artefact removes it, or delete it now to free the space",
                note=True,
            )
    for path in root.glob("*.unfinished"):
        if path.name.removesuffix(".unfinished") not in building:
            what = "its training was interrupted and goes on when it is asked for again; delete it to free the space"
            yield Finding("unfinished", str(path), what, note=True)


def cache_dir() -> Path:
    """Where artefacts lie unless a command says cache_dir=."""
    return Path(os.environ.get("RLX_CACHE", "~/.cache/rlx")).expanduser().absolute()


CHECKS: tuple[Check, ...] = (
    python_and_packages,
    processor,
    memory,
    accelerator,
    deepspeed,
    trackers,
    hub,
    places,
    store,
)
