"""How many of torch's threads encode fastest, found while encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np


class ThreadChoice:
    """Measures one thread against torch's own number on the first batches of a long run; keeps the better.

    Which wins depends on what else the machine is doing: on two cores with another process running, one
    thread in bf16 gave 32 chunks/s and two gave 9.
    """

    TRIES = 3  # batches per candidate; the median is compared

    def __init__(self, current: int, batches: int) -> None:
        import torch

        self.best = current
        candidates = sorted({1, torch.get_num_threads()})
        enough = len(candidates) > 1 and batches >= 4 * self.TRIES * len(candidates)
        self._trials = candidates * self.TRIES if enough else []
        self._speeds: dict[int, list[float]] = {number: [] for number in candidates}

    def next(self) -> int:
        return self._trials[0] if self._trials else self.best

    def note(self, threads: int, tokens_per_second: float) -> None:
        if self._trials:
            self._trials.pop(0)
            self._speeds[threads].append(tokens_per_second)
            if not self._trials:
                self.best = max(self._speeds, key=lambda number: float(np.median(self._speeds[number])))


@contextlib.contextmanager
def torch_threads() -> Iterator[Callable[[int], None]]:
    """A way to set torch's number of threads, which is put back afterwards."""
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda number: torch.set_num_threads(number) if number != torch.get_num_threads() else None
    finally:
        torch.set_num_threads(before)
