"""Paragraphs of a document matched with those of its translation, by dynamic programming over their lengths as in
Gale and Church (1993), and over what both languages write alike (names in code, numbers, words left in English)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

RATIO = 0.42  # Chinese characters for one English character; the median of the corpus is .41
SKIP = 0.9  # a paragraph without a partner; two of them cost what a pair does with lengths 4.5 times apart
HEADING = 1.0  # more, where only one of a pair is a heading
LENGTH, ANCHORS = 1.2, 1.5  # weights of the lengths' log-ratio and of the share of anchors found again
LARGEST = 4_000_000  # pairs of paragraphs of two documents; larger ones are lists of names

_ANCHOR = re.compile(r"[A-Za-z_][A-Za-z_0-9]+|\d+")
_COMMON = frozenset(
    "the a an of to and in is are for that this it as be with or on you can by not if will from at which when an we "
    "your".split()
)


def paragraphs(text: str) -> list[str]:
    """The lines of ``text`` that are not blank, each with single spaces."""
    return [line for line in (" ".join(raw.split()) for raw in text.split("\n")) if line]


def align(english: Sequence[str], chinese: Sequence[str]) -> list[tuple[float, int, int]]:
    """(cost, English number, Chinese number) of the pairs of the cheapest way through both, in order."""
    n, m = len(english), len(chinese)
    if not 0 < n * m <= LARGEST:
        return []
    costs = _costs(english, chinese)
    along = SKIP * np.arange(m + 1)
    best = along
    # moves[i, j]: how the first i and j paragraphs end: 0 both, 1 an English one alone, 2 a Chinese one alone.
    moves = np.full((n + 1, m + 1), 2, dtype=np.int8)
    for i in range(1, n + 1):
        alone = best + SKIP
        pair = np.concatenate([[np.inf], best[:-1] + costs[i - 1]])
        above = np.minimum(alone, pair)
        # Any number of Chinese paragraphs may be skipped after that: the cheapest start, and SKIP for each step.
        start = np.minimum.accumulate(above - along)
        moves[i] = np.where(above - along > start, 2, np.where(pair <= alone, 0, 1))
        best = start + along
    found = []
    i, j = n, m
    while i and j:
        move = moves[i, j]
        if move == 0:
            found.append((float(costs[i - 1, j - 1]), i - 1, j - 1))
        i, j = i - (move != 2), j - (move != 1)
    return found[::-1]


def _costs(english: Sequence[str], chinese: Sequence[str]) -> np.ndarray:
    """(n, m): what each pair costs; below nothing where it shares most of its anchors."""
    expected = RATIO * np.array([len(text) for text in english]) + 3
    lengths = np.array([len(text) for text in chinese]) + 3
    ratio = np.abs(np.log(expected[:, None] / lengths[None, :]))
    mine, theirs = [_anchors(text) for text in english], [_anchors(text) for text in chinese]
    shared = np.zeros(ratio.shape)
    rows, columns = _places(mine), _places(theirs)
    for word in rows.keys() & columns.keys():
        (at, count), (there, other) = rows[word], columns[word]
        shared[np.ix_(at, there)] += np.minimum.outer(count, other)
    share = shared / (np.array([sum(counts.values()) for counts in theirs]) + 2)
    heads = [np.array([text.startswith("#") for text in side]) for side in (english, chinese)]
    return LENGTH * ratio - ANCHORS * share + HEADING * (heads[0][:, None] != heads[1][None, :])


def _anchors(text: str) -> Counter[str]:
    words = (word.lower() for word in _ANCHOR.findall(text))
    return Counter(word for word in words if word not in _COMMON)


def _places(counts: Sequence[Counter[str]]) -> dict[str, tuple[list[int], list[int]]]:
    """For each anchor the paragraphs that have it, and how often."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    for place, words in enumerate(counts):
        for word, count in words.items():
            places, numbers = found.setdefault(word, ([], []))
            places.append(place)
            numbers.append(count)
    return found
