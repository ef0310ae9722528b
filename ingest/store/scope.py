"""Sets of chunk ids that a search is kept to, as sorted arrays."""

from __future__ import annotations

from collections.abc import Collection

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
