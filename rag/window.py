"""The budget of a quotation: how long it is, and the part of an over-long sentence that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

WORDS = 60  # English words that the quotations of one answer may hold together
CHARACTERS = 120  # … or Chinese characters, white space aside

_CLAUSE = re.compile(r"[,;:，；：、—–()（）]\s*|\s[-–—]\s")
_PIECE = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]|[^\s\u3400-\u9fff\U00020000-\U000323af]+")


def size(text: str, language: str) -> int:
    """Words of an English text, characters other than white space of a Chinese one."""
    return sum(not c.isspace() for c in text) if language == "zh" else len(text.split())


def budget(language: str) -> int:
    """The limit on the sizes of all quotations of one answer together."""
    return CHARACTERS if language == "zh" else WORDS


def cost(text: str, language: str) -> float:
    """The share (0..) of an answer's budget that a quotation in ``language`` uses."""
    return size(text, language) / budget(language)


def fit(
    text: str,
    start: int,
    end: int,
    room: int,
    language: str,
    worth: Callable[[str], float],
    keep: tuple[int, int] | None,
) -> tuple[int, int] | None:
    """The run within ``text[start:end]`` of at most ``room`` size that is worth most; None when none fits.

    Clauses are kept whole where they fit. ``keep``: a run (the reader's span) that has to stand in it.
    """
    if size(text[start:end], language) <= room:
        return start, end
    clauses = _clauses(text, start, end)
    best: tuple[float, int, int, int] | None = None
    for i in range(len(clauses)):
        for j in range(i, len(clauses)):
            a, b = clauses[i][0], clauses[j][1]
            length = size(text[a:b], language)
            if length > room:
                break
            if keep is not None and not (a <= keep[0] and keep[1] <= b):
                continue
            value = (worth(text[a:b]), length, a, b)
            if best is None or value[:2] > best[:2]:
                best = value
    if best is not None and (keep is not None or best[1] * 3 >= room):
        return best[2], best[3]
    return _cut(text, start if keep is None else max(start, keep[0] - (end - start) // 4), end, room, language)


def _clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    edges = [start, *(m.end() for m in _CLAUSE.finditer(text, start, end) if m.end() < end), end]
    return [trim(text, a, b) for a, b in pairwise(edges) if text[a:b].strip()]


def _cut(text: str, start: int, end: int, room: int, language: str) -> tuple[int, int] | None:
    """As many whole words (or characters) from ``start`` as fit."""
    last = None
    first = None
    for piece in _PIECE.finditer(text, start, end):
        if first is None:
            first = piece.start()
        if size(text[first : piece.end()], language) > room:
            break
        last = piece.end()
    return None if first is None or last is None else (first, last)


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The run without the white space at its ends."""
    run = text[start:end]
    return start + len(run) - len(run.lstrip()), start + len(run.rstrip())
