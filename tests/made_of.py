"""What a reward is given in tests: directories of reward models, and where the test needs them a judge and its texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlx.core.reward import Sources


def made_of(members: Sequence[Path], judge: Any = None, tokenizer: Any = None, reference_set: Any = None) -> Sources:
    """Sources whose other parts nobody should ask for unless they are given."""
    return Sources(members, lambda: judge, lambda: tokenizer, lambda: reference_set)
