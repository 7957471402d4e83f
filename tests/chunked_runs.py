"""What the processes of a test do: as several_runs, with logits in chunks so small that a miniature needs several."""

from pathlib import Path

import several_runs

from rlx.model import output_head


def work(listing: Path) -> None:
    output_head.CHUNK = 10_000  # of the lab's 300 words: 30 tokens at a time
    several_runs.work(listing)
