"""Sets of chunk ids as sorted arrays and as runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

Ids = Collection[int] | np.ndarray


def ascending(numbers: Ids) -> np.ndarray:
    """int64 (n,), each number once; a sorted array costs one look at it, a set of 100,000 5 ms."""
    array = numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, np.int64, len(numbers))
    array = array.astype(np.int64, copy=False)
    return array if len(array) < 2 or (np.diff(array) > 0).all() else np.unique(array)


def contains(numbers: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """bool (m,): which of ``asked`` are among ``numbers`` (ascending)."""
    if not len(numbers):
        return np.zeros(len(asked), dtype=bool)
    at = np.minimum(np.searchsorted(numbers, asked), len(numbers) - 1)
    return np.asarray(numbers[at] == asked)


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """(first, last) of each run of consecutive numbers.

    >>> runs([7, 3, 4, 5])
    [(3, 5), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def without_runs(numbers: np.ndarray, gone: Iterable[Sequence[int]]) -> np.ndarray:
    """``numbers`` (ascending) that lie in none of the runs (first, last)."""
    keep = np.ones(len(numbers), dtype=bool)
    for first, last in gone:
        keep[np.searchsorted(numbers, first) : np.searchsorted(numbers, last, side="right")] = False
    return numbers[keep]
