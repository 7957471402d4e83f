"""What the processes of a test do: one of them builds an artefact alone, for longer than others wait for it elsewhere; then
one of them does not come where the others wait for it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ddp_of import ddp_of

from rlx.artefact.store import Store
from rlx.compute.ddp import DDP
from rlx.process import interruption, processes

TIMEOUT = 4.0  # s


@dataclass(frozen=True)
class Slow:
    """Built by the first process, in longer than the others' timeout."""

    VERSION: ClassVar[int] = 1

    def build(self, directory: Path, store: Store, seed: int) -> None:
        if processes.first():
            time.sleep(2 * TIMEOUT)
            (directory / "file").write_text("built")


def compute_of_two() -> DDP:
    return ddp_of(2, grace=20.0, timeout=TIMEOUT)


def work(folder: Path) -> None:
    interruption.listen()
    compute_of_two().start()
    path = Store(folder / "cache").fetch(Slow(), seed=0)
    print((path / "file").read_text(), flush=True)
    if processes.first():
        processes.gathered("here")
    else:
        sleep_for_ever()


def sleep_for_ever() -> None:
    while True:
        time.sleep(0.5)
