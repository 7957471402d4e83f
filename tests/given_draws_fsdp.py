"""As given_draws, with FSDP forced onto CPUs."""

from pathlib import Path

import forced_fsdp_runs
import given_draws

from rlx.sampler.transformers import Transformers


def work(listing: Path) -> None:
    given_draws.base()
    Transformers.draw = given_draws.draw
    forced_fsdp_runs.work(listing)
