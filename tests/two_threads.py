"""Two processes of one run as two threads of a test, of which one works at a time: what they send each other is counted and
compared without a second interpreter. tests/compute does the same with real processes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rlx.process import processes

PATIENCE = 60  # s that one waits for the other


class TwoThreads:
    """`both(work)`: what work(rank) returns in each. A thread that waits for a call that the other never makes fails."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.own, self.baton, self.box = threading.local(), threading.Lock(), [None, None]
        self.barrier = threading.Barrier(2, timeout=PATIENCE)
        patch.setattr(processes, "rank", lambda: getattr(self.own, "rank", 0))
        patch.setattr(processes, "size", lambda: 2 if hasattr(self.own, "rank") else 1)
        patch.setattr(processes, "gathered", self.gathered)
        patch.setattr(processes, "agreed", lambda value, patiently=False: self.gathered(value)[0])
        patch.setattr(processes, "wait", lambda patiently=False: self.gathered(None))

    def both(self, work: Callable[[int], Any]) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(self._one, work, rank) for rank in range(2)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in sorted(errors, key=lambda e: isinstance(e, threading.BrokenBarrierError)):
            raise error  # what broke, before what it broke for the other
        return [future.result() for future in futures]

    def _one(self, work: Callable[[int], Any], rank: int) -> Any:
        self.own.rank = rank
        try:
            with self.baton:
                return work(rank)
        except BaseException:
            self.barrier.abort()
            raise

    def gathered(self, value: Any) -> list[Any]:
        if not hasattr(self.own, "rank"):
            return [value]
        self.box[self.own.rank] = value
        self._meet()
        found = list(self.box)
        self._meet()  # before either puts down its next
        return found

    def _meet(self) -> None:
        self.baton.release()
        try:
            self.barrier.wait()
        finally:
            self.baton.acquire()
