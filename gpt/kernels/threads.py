"""How many threads multiply a matrix fastest on this machine, now.

On an idle machine that is one for each core. Where the cores are shared, every product waits for the thread that was
not scheduled: on a busy box of two cores, two threads took 8 ms for a product that one does in 0.45 ms.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

VARIABLE = "OPENBOOK_THREADS"
ROUNDS = 5
PRODUCTS = 8  # a round, about 3 ms
WORTH = 0.9  # more threads must save a tenth, or others have more use for the cores


def use_best_threads() -> int:
    """Set torch's threads, once in a process, and return their number.

    OPENBOOK_THREADS counts first, then OMP_NUM_THREADS, which torch has already obeyed; else a probe of some tens of
    milliseconds. ValueError when OPENBOOK_THREADS is no whole number of at least 1.
    """
    asked = os.environ.get(VARIABLE)
    if asked is not None:
        if not (asked.isascii() and asked.isdigit() and int(asked) > 0):
            raise ValueError(f"{VARIABLE} is {asked!r}; give a whole number of at least 1, or leave it unset")
        threads = int(asked)
    elif os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    else:
        threads = probe_threads()
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return threads


def candidates(cores: int) -> list[int]:
    """1, 2, 4, … and all ``cores``."""
    return sorted({1 << n for n in range(cores.bit_length()) if 1 << n <= cores} | {cores})


def physical_cores() -> int:
    """Cores that this process may use; two hardware threads of a core count once."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return max(1, min(allowed, int(features.get("num_physical_cores", allowed))))


@cache
def probe_threads() -> int:
    """The number of threads with the least total time over a few interleaved rounds. The sum and not the best round:
    a thread that is now and then not scheduled is what the probe looks for. A candidate that has fallen far behind
    one thread is not tried again, so that the probe stays short on a busy machine."""
    counts = candidates(physical_cores())
    if len(counts) == 1:
        return 1
    before = torch.get_num_threads()
    weight, row = torch.full((2304, 768), 0.01), torch.full((1, 768), 0.01)
    spent = dict.fromkeys(counts, 0.0)
    with torch.inference_mode():
        for turn in range(ROUNDS):
            for count in counts:
                if turn > 1 and spent[count] > 1.5 * spent[1]:
                    spent[count] = float("inf")
                    continue
                torch.set_num_threads(count)
                F.linear(row, weight)  # starts the threads
                started = time.perf_counter()
                for _ in range(PRODUCTS):
                    F.linear(row, weight)
                spent[count] += time.perf_counter() - started
    torch.set_num_threads(before)
    return fewest(spent)


def fewest(spent: dict[int, float]) -> int:
    """The smallest number of threads that no larger one beats by a tenth of its time."""
    best = min(spent)
    for count in sorted(spent):
        if spent[count] < WORTH * spent[best]:
            best = count
    return best
