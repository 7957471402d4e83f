"""`python on_pretend_gpu.py FILE WORDS...`: rlx WORDS, with a GPU that is none. FILE: where to say which models were asked on
the CPU all the same."""

import json
import os
import sys
from pathlib import Path

os.environ["ACCELERATE_TORCH_DEVICE"] = "pretend:0"
from pretend_gpu import GPU, pretending
from torch.random import fork_rng

from rlx.process import device


def on_device(model):
    if hasattr(model, "to"):
        model.to(GPU)
    return model


device.on_device = on_device
device.random_state_kept = lambda: fork_rng([])

from rlx.cli import main  # noqa: E402 (after what it imports has been changed)

with pretending() as left_on_cpu:
    code = main(sys.argv[2:])
Path(sys.argv[1]).write_text(json.dumps(left_on_cpu))
sys.exit(code)
