"""What the processes of a test do: the runs whose config.yaml a file lists, one after another in one group of processes."""

from pathlib import Path

from rlx import train


def work(listing: Path) -> None:
    for line in listing.read_text().splitlines():
        train.work(Path(line))
