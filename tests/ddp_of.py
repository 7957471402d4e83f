"""A `compute=ddp` for tests."""

from rlx.compute.ddp import DDP


def ddp_of(num_processes: int, num_threads: int = 1, grace: float = 10.0, timeout: float = 600.0) -> DDP:
    """Of so many processes on this machine."""
    return DDP(
        num_processes=num_processes,
        num_nodes=1,
        num_threads=num_threads,
        micro_batch_size=None,
        rows=8,
        compile=False,
        place_members=False,
        gradient_checkpointing=False,
        grace=grace,
        timeout=timeout,
    )
