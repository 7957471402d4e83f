"""The policy's forward pass while it learns, compiled by torch's inductor, with a line for the log that says what that took."""

import logging
from collections.abc import Callable
from typing import Any

import torch

from rlx.core.error import UserError

log = logging.getLogger(__name__)
STEP = 1.0  # s of compiling that are worth another line


class Compiled:
    """`function`, compiled for any number of rows and tokens when it is first called, and where something else changes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if (missing := lacks_compiler()) is not None:
            raise UserError(missing)
        self._function = torch.compile(function, dynamic=True)
        self._before = self._said = _spent()

    def __call__(self, *given: Any) -> Any:
        out = self._function(*given)
        if (spent := _spent()) > self._said + STEP:  # of the passes before this one, too: backward is compiled after us
            log.info("compute.compile: compiling has taken %.0f s so far", spent - self._before)
            self._said = spent
        return out


def lacks_compiler() -> str | None:
    """Why inductor cannot run on this machine, in a line; None if it can."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "compute.compile=true needs a C++ compiler and there is none: install g++ (or set CXX), or say compute.compile=false"
    return None


def _spent() -> float:
    """Seconds that this process has spent on compiling."""
    from torch._dynamo.utils import calculate_time_spent

    return calculate_time_spent().get("total_wall_time", 0.0)
