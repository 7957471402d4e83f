"""What the processes of a test do: the runs whose config.yaml a file lists, one after another in one group of processes;
and the same runs in one process, to be compared with."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlx import train
from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.run.state import check_run_dir, open_run_dir


def opened(folder: Path, cache: Path, overrides: Sequence[str]) -> Path:
    """The config.yaml of a run directory in `folder`."""
    (cell,) = compose([f"cache_dir={cache}", f"runs_dir={folder}", *overrides])
    config = checked(cell.config)
    return open_run_dir(config, check_run_dir(config))


def done_alone(folder: Path, runs: Mapping[str, Sequence[str]]) -> tuple[Path, dict[str, Path]]:
    """Each of `runs` (name -> overrides) in this process; the cache and the run directories, in `folder`."""
    paths = {name: opened(folder / "runs", folder / "cache", overrides) for name, overrides in runs.items()}
    for path in paths.values():
        assert main(["train", str(path)]) == 0
    return folder / "cache", {name: path.parent for name, path in paths.items()}


def work(listing: Path) -> None:
    tempfile.mkdtemp()  # as some libraries do for as long as a process lives
    for line in listing.read_text().splitlines():
        train.work(Path(line))


def pids_of_workers(launcher: int) -> list[int]:
    """Those of a launcher's workers that live, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == launcher and b"rlx.compute.worker" in words:
                variables = dict(v.split(b"=", 1) for v in (folder / "environ").read_bytes().split(b"\0") if b"=" in v)
                found[int(variables[b"RANK"])] = int(folder.name)
        except (OSError, ValueError):
            continue
    return [found[rank] for rank in sorted(found)]


def tiny_llama_of_two() -> LlamaForCausalLM:
    """Random, of two layers, the same in every process."""
    torch.manual_seed(0)
    size = dict(vocab_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
    return LlamaForCausalLM(LlamaConfig(**size, pad_token_id=0, eos_token_id=1, bos_token_id=None))
